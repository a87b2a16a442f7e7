import { type JoinEui, type NsId, parseJoinEui, parseNsId } from '@mortise/lorawan'
import type { Dialect } from './dialects.ts'
import { type Members, readJsonObject } from './json-object.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import type { FailureCode } from './result-codes.ts'
import { isAbsent, readHex, readHexOf, readUnsigned, withoutHexPrefix } from './wire-values.ts'

/** The requests that are understood. */
export type RequestType = 'JoinReq' | 'RejoinReq' | 'AppSKeyReq' | 'HomeNSReq'

/** An AS-ID is an ASCII string (TS002 1.0 §22.3); this bounds it, in characters. */
const MAX_SENDER_ID_LENGTH = 256

/** SenderToken and ReceiverToken are opaque; this bounds them, in bytes. */
const MAX_TOKEN_BYTES = 64

/** As much of a request's header as could be read: enough to address a refusal. */
export interface PartialHeader {
  /** The version to answer in: the request's, or the dialect's own choice when that is unreadable or not served. */
  readonly protocolVersion: ProtocolVersion
  readonly messageType?: string | undefined
  /** SenderID as received, which is how answers echo it. */
  readonly senderIdText?: string | undefined
  /** ReceiverID as received. */
  readonly receiverIdText?: string | undefined
  /** Unsigned 32-bit, chosen by the requester. */
  readonly transactionId?: number | undefined
  /** Only what can be echoed: a well-formed NSID of a 1.1 message. */
  readonly senderNsId?: NsId | undefined
  /** Opaque lower-case hex. */
  readonly senderToken?: string | undefined
  /** Opaque lower-case hex. */
  readonly receiverToken?: string | undefined
}

/** The header of a request (TS002 1.0 §22.1), validated. */
export interface RequestHeader extends PartialHeader {
  readonly messageType: RequestType
  /** A NetID as six lower-case hex digits without prefix, or an AS-ID verbatim. See normalizeSenderId. */
  readonly senderId: string
  readonly senderIdText: string
  readonly receiverId: JoinEui
  readonly receiverIdText: string
  readonly transactionId: number
}

/**
 * - `message`: the header is good; `members` is the whole message.
 * - `malformed`: answer `httpStatus` with encodeFailure(header, result, description).
 * - `ignored`: an answer or notification that nobody waits for: acknowledge 200 with an empty body and drop it.
 */
export type ParsedMessage =
  | { readonly kind: 'message'; readonly header: RequestHeader; readonly members: Members }
  | {
      readonly kind: 'malformed'
      readonly httpStatus: 400 | 200
      readonly result: FailureCode
      readonly description: string
      readonly header: PartialHeader
    }
  | { readonly kind: 'ignored' }

/** Who sends each request. */
const REQUEST_TYPES: Readonly<Record<RequestType, 'network server' | 'application server'>> = {
  JoinReq: 'network server',
  RejoinReq: 'network server',
  AppSKeyReq: 'application server',
  HomeNSReq: 'network server',
}
const MESSAGE_NAME = /^[A-Za-z]{1,64}$/
const ANSWER_OR_NOTIFICATION = /^[A-Za-z]{1,64}(?:Ans|Notif)$/
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/

/**
 * Reads a request body and its header, as a peer of this dialect may write them; never throws. The members themselves are
 * left to parseJoinReq and its like.
 */
export function parseMessage(body: Uint8Array, dialect: Dialect): ParsedMessage {
  const json = readJsonObject(body)
  if (json.kind === 'not_json') return unreadable(json.description, { protocolVersion: dialect.unreadableAnsweredIn })

  const { members } = json
  const type = members['MessageType']
  if (typeof type !== 'string' || type === '') {
    return unreadable('MessageType is missing.', readHeader('', members, dialect))
  }
  if (ANSWER_OR_NOTIFICATION.test(type)) return { kind: 'ignored' }

  const header = readHeader(type, members, dialect)
  if (json.kind === 'flawed') return refusal(header, 'Malformed', json.description)
  return checkHeader(header, members, dialect)
}

/**
 * The form in which a SenderID is compared with the peer's record: a NetID becomes six lower-case hex digits without
 * prefix (Helium writes "0xC00053"); anything else is an AS-ID and stays as it is.
 */
export function normalizeSenderId(text: string): string {
  return readHexOf(text, 3) ?? text
}

function readHeader(messageType: string, members: Members, dialect: Dialect): PartialHeader {
  const version = members['ProtocolVersion']
  return {
    protocolVersion: isServed(version, dialect) ? version : dialect.unreadableAnsweredIn,
    messageType: MESSAGE_NAME.test(messageType) ? messageType : undefined,
    senderIdText: readSenderId(members['SenderID']),
    receiverIdText: readHexOf(members['ReceiverID'], 8) === undefined ? undefined : (members['ReceiverID'] as string),
    transactionId: readUnsigned(members['TransactionID'], 0xffffffff),
    senderNsId: hasNsId(version, dialect) ? readSenderNsId(members['SenderNSID']) : undefined,
    senderToken: readToken(members['SenderToken']),
    receiverToken: readToken(members['ReceiverToken']),
  }
}

function checkHeader(header: PartialHeader, members: Members, dialect: Dialect): ParsedMessage {
  const { messageType, senderIdText, receiverIdText, transactionId } = header
  const version = members['ProtocolVersion']
  if (typeof version !== 'string') return refusal(header, 'Malformed', 'ProtocolVersion is missing or is not a string.')
  if (!isServed(version, dialect)) {
    const served = dialect.protocolVersions.map((known) => `"${known}"`).join(' or ')
    return refusal(header, 'InvalidProtocolVersion', `ProtocolVersion must be ${served}.`)
  }
  if (!isRequestType(messageType)) return refusal(header, 'Malformed', 'MessageType is not one that is served here.')
  if (senderIdText === undefined) return refusal(header, 'Malformed', 'SenderID must be a NetID or an AS-ID.')
  if (receiverIdText === undefined) return refusal(header, 'Malformed', 'ReceiverID must be a JoinEUI of 8 bytes.')
  if (transactionId === undefined)
    return refusal(header, 'Malformed', 'TransactionID must be an unsigned 32-bit number.')
  if (header.senderNsId === undefined && needsNsId(messageType, dialect)) {
    return refusal(header, 'Malformed', 'SenderNSID must be an NSID of 8 bytes.')
  }
  if (header.senderToken === undefined && !isAbsent(members['SenderToken'])) {
    return refusal(header, 'Malformed', `SenderToken must be hex of at most ${MAX_TOKEN_BYTES} bytes.`)
  }
  if (header.receiverToken === undefined && !isAbsent(members['ReceiverToken'])) {
    return refusal(header, 'Malformed', `ReceiverToken must be hex of at most ${MAX_TOKEN_BYTES} bytes.`)
  }
  return {
    kind: 'message',
    header: {
      ...header,
      messageType,
      senderId: normalizeSenderId(senderIdText),
      senderIdText,
      receiverId: parseJoinEui(withoutHexPrefix(receiverIdText).toLowerCase()),
      receiverIdText,
      transactionId,
    },
    members,
  }
}

/** Whether a MessageType is one that is understood. */
export function isRequestType(type: string | undefined): type is RequestType {
  return type !== undefined && Object.hasOwn(REQUEST_TYPES, type)
}

function isServed(version: unknown, dialect: Dialect): version is ProtocolVersion {
  const served: readonly unknown[] = dialect.protocolVersions
  return served.includes(version)
}

function hasNsId(version: unknown, { senderNsId }: Dialect): boolean {
  return version === '1.1' && senderNsId !== 'never'
}

function needsNsId(messageType: RequestType, { senderNsId }: Dialect): boolean {
  return senderNsId === 'required' && REQUEST_TYPES[messageType] === 'network server'
}

function readSenderId(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_SENDER_ID_LENGTH) return undefined
  return PRINTABLE_ASCII.test(value) ? value : undefined
}

/** What is no NSID counts as none: TTS up to 3.15.1 put a NetID there, Helium an empty string. */
function readSenderNsId(value: unknown): NsId | undefined {
  const digits = readHexOf(value, 8)
  return digits === undefined ? undefined : parseNsId(digits)
}

function readToken(value: unknown): string | undefined {
  const digits = readHex(value)
  if (digits === undefined || digits === '' || digits.length % 2 !== 0) return undefined
  return digits.length <= 2 * MAX_TOKEN_BYTES ? digits : undefined
}

/** The one case for HTTP 400: without a message type there is nothing to answer in kind. What was legible is echoed. */
function unreadable(description: string, header: PartialHeader): ParsedMessage {
  return { kind: 'malformed', httpStatus: 400, result: 'Malformed', description, header }
}

function refusal(header: PartialHeader, result: FailureCode, description: string): ParsedMessage {
  return { kind: 'malformed', httpStatus: 200, result, description, header }
}
