import { CodecError } from './codec-error.ts'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [name: string]: JsonValue
}

export interface DecodedPayload {
  /** Absent when there are errors. */
  readonly data?: JsonObject
  readonly warnings: readonly string[]
  /** Why the codec did not decode the payload, in its own words. */
  readonly errors: readonly string[]
}

export interface EncodedPayload {
  /** Absent when there are errors. */
  readonly bytes?: Uint8Array
  /** Absent when the codec leaves it to its caller. */
  readonly fPort?: number
  readonly warnings: readonly string[]
  readonly errors: readonly string[]
}

/** How deep a reading may be nested: deeper ones break programs that walk them. */
const MAX_DEPTH = 32

/** @throws {CodecError} `codec_result_invalid` */
export function readDecoded(codec: string, text: string): DecodedPayload {
  const { data, ...result } = readResult(codec, text)
  const messages = readMessages(result)
  if (messages.errors.length > 0) return messages
  if (!isObject(data)) throw invalid(codec, 'returned no object as its data.')
  return { data, ...messages }
}

/** @throws {CodecError} `codec_result_invalid` */
export function readEncoded(codec: string, text: string): EncodedPayload {
  const { bytes, fPort, ...result } = readResult(codec, text)
  const messages = readMessages(result)
  if (messages.errors.length > 0) return messages
  if (!Array.isArray(bytes) || !bytes.every(isByte)) throw invalid(codec, 'returned no list of bytes.')
  if (fPort === undefined || fPort === null) return { bytes: Uint8Array.from(bytes), ...messages }
  if (!isByte(fPort)) throw invalid(codec, 'returned no FPort of 0 to 255.')
  return { bytes: Uint8Array.from(bytes), fPort, ...messages }
}

function readResult(codec: string, text: string): JsonObject {
  const result = JSON.parse(text) as JsonValue
  requireHarmless(codec, result, 0)
  if (!isObject(result)) throw invalid(codec, 'returned no object.')
  return result
}

/** Of a member `__proto__` a copy of the reading would make its prototype. */
function requireHarmless(codec: string, value: JsonValue, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH) throw invalid(codec, `returned data nested deeper than ${MAX_DEPTH} levels.`)
  if (Object.hasOwn(value, '__proto__')) throw invalid(codec, 'returned a member "__proto__".')
  for (const member of Object.values(value)) requireHarmless(codec, member, depth + 1)
}

function readMessages({ warnings, errors }: JsonObject): Pick<DecodedPayload, 'warnings' | 'errors'> {
  return { warnings: messageList(warnings), errors: messageList(errors) }
}

/** TS013 says lists of texts. Codecs also return null, or one text, and the network servers take it. */
function messageList(value: JsonValue | undefined): string[] {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return []
  return value.map((message) => (typeof message === 'string' ? message : JSON.stringify(message)))
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isByte(value: JsonValue): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255
}

function invalid(codec: string, message: string): CodecError {
  return new CodecError('codec_result_invalid', codec, message)
}
