import { isUtf8 } from 'node:buffer'
import { inspectJson } from '../json/inspect.ts'
import type { Dialect, Version } from './dialects.ts'

/**
 * What docs/backend-interfaces.md makes of the bytes of a request, worked out from its text alone. A body that the
 * use-cases never see is `refused` here, with what the answer must say.
 */
export type ReadRequest =
  | { readonly kind: 'refused'; readonly status: 200 | 400; readonly code: string; readonly header: ReadHeader }
  | { readonly kind: 'ignored' }
  | {
      readonly kind: 'read'
      readonly header: ReadHeader
      readonly type: RequestType
      readonly members: Members
    }

/** Who sends each. */
const REQUESTS = { JoinReq: 'ns', RejoinReq: 'ns', HomeNSReq: 'ns', AppSKeyReq: 'as' } as const
export type RequestType = keyof typeof REQUESTS

export type Members = ReadonlyMap<string, unknown>

/** The members of a request's header as far as they can be read. */
export interface ReadHeader {
  readonly version: Version
  readonly messageType: string | undefined
  readonly senderId: string | undefined
  readonly receiverId: string | undefined
  readonly transactionId: number | undefined
  readonly senderNsId: string | undefined
  readonly senderToken: string | undefined
  readonly receiverToken: string | undefined
}

export const MAX_BODY_BYTES = 65_536
const MAX_LEVELS = 16
const MAX_TOKEN_BYTES = 64

export function readRequest(body: Buffer, dialect: Dialect): ReadRequest {
  const text = readText(body)
  const members = text === undefined ? undefined : readMembers(text)
  if (text === undefined || members === undefined) return unreadable(headerOf(new Map(), dialect))
  const header = headerOf(members, dialect)
  const type = members.get('MessageType')
  if (typeof type !== 'string' || type === '') return unreadable(header)
  if (/^[A-Za-z]{1,64}(Ans|Notif)$/.test(type)) return { kind: 'ignored' }
  const refused = (code: string): ReadRequest => ({ kind: 'refused', status: 200, code, header })
  const { depth, repeats } = inspectJson(text)
  if (depth > MAX_LEVELS || repeats) return refused('Malformed')
  const version = members.get('ProtocolVersion')
  if (typeof version !== 'string') return refused('Malformed')
  if (!isServed(version, dialect)) return refused('InvalidProtocolVersion')
  if (!isRequest(type)) return refused('Malformed')
  const { senderId, receiverId, transactionId, senderToken, receiverToken } = header
  if (senderId === undefined || receiverId === undefined || transactionId === undefined) return refused('Malformed')
  if (dialect.nsId === 'required' && REQUESTS[type] === 'ns' && header.senderNsId === undefined)
    return refused('Malformed')
  if (senderToken === undefined && !isAbsent(members.get('SenderToken'))) return refused('Malformed')
  if (receiverToken === undefined && !isAbsent(members.get('ReceiverToken'))) return refused('Malformed')
  return { kind: 'read', header, type, members }
}

/** Hex digits, lower case, of any number; an optional 0x is taken off. Undefined for anything else. */
export function hexOf(value: unknown, bytes?: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const digits = /^(?:0[xX])?([0-9a-fA-F]*)$/.exec(value)?.[1]?.toLowerCase()
  return bytes === undefined || digits?.length === 2 * bytes ? digits : undefined
}

export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

/** An unsigned number, or the same as decimal text of at most ten digits. */
export function numberOf(value: unknown, max: number): number | undefined {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number.parseInt(value, 10) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= max ? number : undefined
}

/** A NetID as six lower-case digits, an AS-ID as it is. */
export function comparableSender(senderId: string): string {
  return hexOf(senderId, 3) ?? senderId
}

function readText(body: Buffer): string | undefined {
  if (body.length > MAX_BODY_BYTES || !isUtf8(body)) return undefined
  return body.toString().replace(/^[\uFEFF\t\n\r ]*/, '')
}

function readMembers(text: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return new Map(Object.entries(value))
  } catch {
    return undefined
  }
}

function isServed(version: unknown, { versions }: Dialect): version is Version {
  return versions.some((served) => served === version)
}

function isRequest(type: string): type is RequestType {
  return Object.hasOwn(REQUESTS, type)
}

function headerOf(members: Members, dialect: Dialect): ReadHeader {
  const type = members.get('MessageType')
  const version = members.get('ProtocolVersion')
  const sender = members.get('SenderID')
  const receiver = members.get('ReceiverID')
  return {
    version: isServed(version, dialect) ? version : dialect.answersIn,
    messageType: typeof type === 'string' && /^[A-Za-z]{1,64}$/.test(type) ? type : undefined,
    senderId: typeof sender === 'string' && /^[\x20-\x7e]{1,256}$/.test(sender) ? sender : undefined,
    receiverId: hexOf(receiver, 8) === undefined ? undefined : String(receiver),
    transactionId: numberOf(members.get('TransactionID'), 0xffffffff),
    senderNsId: version === '1.1' && dialect.nsId !== 'never' ? hexOf(members.get('SenderNSID'), 8) : undefined,
    senderToken: tokenOf(members.get('SenderToken')),
    receiverToken: tokenOf(members.get('ReceiverToken')),
  }
}

function tokenOf(value: unknown): string | undefined {
  const digits = hexOf(value)
  if (digits === undefined || digits.length % 2 !== 0) return undefined
  return digits.length >= 2 && digits.length <= 2 * MAX_TOKEN_BYTES ? digits : undefined
}

/** What cannot be read as a message at all. */
function unreadable(header: ReadHeader): ReadRequest {
  return { kind: 'refused', status: 400, code: 'Malformed', header }
}
