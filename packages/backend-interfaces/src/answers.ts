import type { DevEui, NetId, NsId } from '@mortise/lorawan'
import { MAX_SESSION_KEY_ID_BYTES } from './app-s-key-req.ts'
import { type Dialect, dialectOf } from './dialects.ts'
import { type HexCase, hexOf, inCase } from './hex-case.ts'
import { CLEAR_KEY_SIZE, isWrapped, type KeyEnvelope, WRAPPED_KEY_SIZE } from './key-envelope.ts'
import type { PartialHeader, RequestHeader } from './parse-header.ts'
import { type FailureCode, resultCodeFor } from './result-codes.ts'

/**
 * The network session keys of one join. A set is complete by its type, because ChirpStack and The Things Stack both
 * panic over an incomplete one.
 */
export type NetworkSessionKeys =
  /** LoRaWAN 1.0.x, or 1.1 with OptNeg 0. */
  | { readonly nwkSKey: KeyEnvelope }
  /** LoRaWAN 1.1 with OptNeg 1. */
  | { readonly fNwkSIntKey: KeyEnvelope; readonly sNwkSIntKey: KeyEnvelope; readonly nwkSEncKey: KeyEnvelope }

/** What a successful JoinAns or RejoinAns carries (TS002 1.0 §8 step 4). */
export interface JoinOutcome {
  /** The join-accept frame: 17 bytes, or 33 with a CFList. */
  readonly phyPayload: Uint8Array
  readonly networkKeys: NetworkSessionKeys
  readonly appSKey?: KeyEnvelope | undefined
  /** Who shall open AppSKey: an application server, or the network server itself, being the device's application server. */
  readonly appSKeyFor?: 'application-server' | 'network' | undefined
  /** 1 to 64 bytes. */
  readonly sessionKeyId?: Uint8Array | undefined
  /** Seconds, unsigned 32-bit; 0 means unlimited. */
  readonly lifetime: number
}

/** What a successful AppSKeyAns carries (TS002 1.0 §8 step 8). */
export interface AppSKeyOutcome {
  readonly devEui: DevEui
  readonly sessionKeyId: Uint8Array
  readonly appSKey: KeyEnvelope
}

/** What a successful HomeNSAns carries. */
export interface HomeNsOutcome {
  readonly hNetId: NetId
  /** Told in version 1.1 only. */
  readonly hNsId?: NsId | undefined
}

/** The header members of an answer, spelled as on the wire; undefined ones are not sent. */
export interface AnswerHeader {
  readonly ProtocolVersion: string
  readonly MessageType: string | undefined
  readonly SenderID: string | undefined
  readonly ReceiverID: string | undefined
  readonly TransactionID: number | undefined
  readonly ReceiverNSID: string | undefined
  readonly SenderToken: string | undefined
  readonly ReceiverToken: string | undefined
}

export const MAX_LIFETIME = 0xffffffff

/**
 * The header that answers `header`: identifiers, NSID and tokens change sides, Req becomes Ans. Identifiers are echoed
 * as received, because ChirpStack v3 compares them as text.
 */
export function answerHeader(header: PartialHeader, dialect: Dialect): AnswerHeader {
  const { hexCase } = dialect
  const { receiverToken, senderToken } = header
  const senderNsId = dialect.senderNsId === 'never' ? undefined : header.senderNsId
  return {
    ProtocolVersion: header.protocolVersion,
    MessageType: header.messageType?.endsWith('Req') ? `${header.messageType.slice(0, -3)}Ans` : undefined,
    SenderID: header.receiverIdText,
    ReceiverID: header.senderIdText,
    TransactionID: header.transactionId,
    ReceiverNSID: senderNsId && inCase(senderNsId, hexCase),
    SenderToken: receiverToken && inCase(receiverToken, hexCase),
    ReceiverToken: senderToken && inCase(senderToken, hexCase),
  }
}

/**
 * A JoinAns or RejoinAns with Result Success, as JSON text. It is put together by hand, since every join passes here: hex
 * cannot need escaping, and whatever else comes from outside goes through JSON.stringify.
 * @throws RangeError when a value has not the size that its member demands, or an AppSKey for the network itself is
 * wrapped although its dialect has it unwrap none
 */
export function encodeJoinAns(header: RequestHeader, outcome: JoinOutcome, dialect: Dialect): string {
  const { phyPayload, networkKeys, appSKey, lifetime } = outcome
  const { hexCase } = dialect
  if (phyPayload.length !== 17 && phyPayload.length !== 33) throw new RangeError('A join-accept has 17 or 33 bytes.')
  if (!Number.isInteger(lifetime) || lifetime < 0 || lifetime > MAX_LIFETIME) {
    throw new RangeError('Lifetime is an unsigned 32-bit number of seconds.')
  }
  let json = `${openSuccess(header, dialect)},"PHYPayload":"${hexOf(phyPayload, hexCase)}","Lifetime":${lifetime}`
  if ('nwkSKey' in networkKeys) {
    json += `,"NwkSKey":${encodeKeyEnvelope(networkKeys.nwkSKey, hexCase)}`
  } else {
    json += `,"FNwkSIntKey":${encodeKeyEnvelope(networkKeys.fNwkSIntKey, hexCase)}`
    json += `,"SNwkSIntKey":${encodeKeyEnvelope(networkKeys.sNwkSIntKey, hexCase)}`
    json += `,"NwkSEncKey":${encodeKeyEnvelope(networkKeys.nwkSEncKey, hexCase)}`
  }
  if (appSKey !== undefined) json += `,"AppSKey":${encodeKeyEnvelope(appSKey, hexCase)}`
  const sessionKeyId = sessionKeyIdFor(outcome, dialect)
  if (sessionKeyId !== undefined) json += `,"SessionKeyID":${encodeSessionKeyId(sessionKeyId, hexCase)}`
  return `${json}}`
}

/** The SessionKeyID, unless it would keep the network from an AppSKey that is meant for it. */
function sessionKeyIdFor({ appSKey, appSKeyFor, sessionKeyId }: JoinOutcome, dialect: Dialect): Uint8Array | undefined {
  if (appSKeyFor !== 'network' || appSKey === undefined) return sessionKeyId
  if (dialect.ownAppSKey === 'clear' && isWrapped(appSKey)) {
    throw new RangeError(`A network server of dialect ${dialect.name} cannot unwrap an AppSKey.`)
  }
  return dialect.sessionKeyIdBesideOwnAppSKey ? sessionKeyId : undefined
}

/**
 * An AppSKeyAns with Result Success, as JSON text. Application servers have no dialects: all read the standard's form.
 * @throws RangeError when a value has not the size that its member demands
 */
export function encodeAppSKeyAns(header: RequestHeader, outcome: AppSKeyOutcome): string {
  const dialect = dialectOf('standard-1.0')
  const sessionKeyId = encodeSessionKeyId(outcome.sessionKeyId, dialect.hexCase)
  const appSKey = encodeKeyEnvelope(outcome.appSKey, dialect.hexCase)
  const open = openSuccess(header, dialect)
  return `${open},"DevEUI":"${outcome.devEui}","SessionKeyID":${sessionKeyId},"AppSKey":${appSKey}}`
}

/** A HomeNSAns with Result Success, as JSON text. */
export function encodeHomeNsAns(header: RequestHeader, { hNetId, hNsId }: HomeNsOutcome, dialect: Dialect): string {
  const { hexCase } = dialect
  const answer = `${openSuccess(header, dialect)},"HNetID":"${inCase(hNetId, hexCase)}"`
  return hNsId !== undefined && header.protocolVersion === '1.1'
    ? `${answer},"HNSID":"${inCase(hNsId, hexCase)}"}`
    : `${answer}}`
}

/**
 * Any refusal, as JSON text, with a code that the peer can read. Both network servers show `description` to their
 * operators as it is: it should say what to do, and hold no secret.
 */
export function encodeFailure(
  header: PartialHeader,
  result: FailureCode,
  description: string,
  dialect: Dialect,
): string {
  return JSON.stringify({
    ...answerHeader(header, dialect),
    Result: { ResultCode: resultCodeFor(result, header.protocolVersion, dialect), Description: description },
  })
}

function openSuccess(header: RequestHeader, dialect: Dialect): string {
  return `${JSON.stringify(answerHeader(header, dialect)).slice(0, -1)},"Result":{"ResultCode":"Success"}`
}

/** A label says that the key is wrapped, to every known peer; so a label and a size that disagree are never sent. */
function encodeKeyEnvelope(envelope: KeyEnvelope, hexCase: HexCase): string {
  const { kekLabel, aesKey } = envelope
  if (!isWrapped(envelope)) {
    if (aesKey.length !== CLEAR_KEY_SIZE) throw new RangeError('A key without KEK label has 16 bytes.')
    return `{"AESKey":"${hexOf(aesKey, hexCase)}"}`
  }
  if (aesKey.length !== WRAPPED_KEY_SIZE) throw new RangeError('A key with KEK label has 24 bytes.')
  return `{"KEKLabel":${JSON.stringify(kekLabel)},"AESKey":"${hexOf(aesKey, hexCase)}"}`
}

function encodeSessionKeyId(id: Uint8Array, hexCase: HexCase): string {
  if (id.length === 0 || id.length > MAX_SESSION_KEY_ID_BYTES) {
    throw new RangeError(`A SessionKeyID has 1 to ${MAX_SESSION_KEY_ID_BYTES} bytes.`)
  }
  return `"${hexOf(id, hexCase)}"`
}
