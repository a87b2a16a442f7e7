import { isUtf8 } from 'node:buffer'
import { BridgeError } from './errors.ts'

/** Of one event, in bytes. Events of network servers have some kilobytes, with many gateways some tens of them. */
export const MAX_EVENT_BYTES = 1_048_576

export type Members = Readonly<Record<string, unknown>>

/** A broker that speaks MQTT 3.1.1 cannot be told of a limit. @throws {BridgeError} `event_malformed` */
export function requireEventSize(body: Uint8Array): void {
  if (body.length > MAX_EVENT_BYTES) throw malformed(`it is larger than ${MAX_EVENT_BYTES} bytes`)
}

/** @throws {BridgeError} `event_malformed` */
export function readMembers(body: Uint8Array): Members {
  requireEventSize(body)
  if (!isUtf8(body)) throw malformed('it is not UTF-8 text')
  const value = parseJson(textOfBytes(body))
  if (value === undefined) throw malformed('it is not JSON')
  if (!isMembers(value)) throw malformed('it is not a JSON object')
  return value
}

/** What the text says; undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What `parse` makes of hexadecimal text. @throws {BridgeError} `event_malformed` */
export function parseHex<Result>(name: string, parse: () => Result): Result {
  try {
    return parse()
  } catch (cause) {
    throw malformed(`${name} is not hexadecimal of its size`, { cause })
  }
}

/** As both networks write Protobuf messages as JSON: what is left out, or null, has its type's empty value. */
export function objectMember(members: Members, name: string): Members | undefined {
  const value = members[name]
  if (value === undefined || value === null) return undefined
  if (isMembers(value)) return value
  throw malformed(`${name} is not an object`)
}

/** @throws {BridgeError} `event_malformed` */
export function textMember(members: Members, name: string): string {
  const value = members[name] ?? ''
  if (typeof value === 'string' && value.isWellFormed()) return value
  throw malformed(`${name} is not text`)
}

/** An integer of 0 to `max`. @throws {BridgeError} `event_malformed` */
export function unsignedMember(members: Members, name: string, max: number): number {
  const value = members[name] ?? 0
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value + 0
  throw malformed(`${name} is not a number of 0 to ${max}`)
}

/** @throws {BridgeError} `event_malformed` */
export function booleanMember(members: Members, name: string): boolean {
  const value = members[name] ?? false
  if (typeof value === 'boolean') return value
  throw malformed(`${name} is neither true nor false`)
}

/** The bytes of base64 text in its one canonical form. @throws {BridgeError} `event_malformed` */
export function base64Member(members: Members, name: string): Uint8Array {
  const text = textMember(members, name)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') === text) return bytes
  throw malformed(`${name} is not base64`)
}

/** The objects of a list; what else is in it tells nothing here. */
export function objectsMember(members: Members, name: string): Members[] {
  const value = members[name]
  return Array.isArray(value) ? value.filter(isMembers) : []
}

/** A finite number, or undefined. */
export function numberMember(members: Members, name: string): number | undefined {
  const value = members[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** A time as it is written, and in milliseconds of Unix time. @throws {BridgeError} `event_malformed` */
export function readTime(text: string, name: string): { readonly time: string; readonly timeMs: number } {
  const timeMs = RFC_3339.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isSafeInteger(timeMs)) return { time: text, timeMs }
  throw malformed(`${name} is no time of RFC 3339`)
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function malformed(reason: string, options?: ErrorOptions): BridgeError {
  return new BridgeError('event_malformed', `The event cannot be read: ${reason}.`, options)
}

export function textOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
