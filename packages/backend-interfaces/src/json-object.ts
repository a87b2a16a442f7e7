import { isUtf8 } from 'node:buffer'

/** The largest message body that is read, in bytes. The largest legal one of a join is under 1 KiB. */
export const MAX_BODY_BYTES = 65_536

/** How deep objects and arrays may nest in a message; the message itself is the first level. */
export const MAX_DEPTH = 16

export type Members = Readonly<Record<string, unknown>>

/**
 * `not_json` says that nothing can be made of the body. `flawed` is an object that has a meaning in JSON but none here:
 * its members are given, so that the refusal can be addressed, and must be used for nothing else.
 */
export type JsonObject =
  | { readonly kind: 'object'; readonly members: Members }
  | { readonly kind: 'flawed'; readonly members: Members; readonly description: string }
  | { readonly kind: 'not_json'; readonly description: string }

/**
 * Reads a body as one JSON object: strict UTF-8, at most MAX_BODY_BYTES, at most MAX_DEPTH levels, no member name twice
 * in one object. A byte-order mark and white space around the object are accepted, as some senders add them.
 */
export function readJsonObject(body: Uint8Array): JsonObject {
  if (body.length > MAX_BODY_BYTES) return notJson(`The body is larger than ${MAX_BODY_BYTES} bytes.`)
  if (!isUtf8(body)) return notJson('The body is not UTF-8 text.')

  let value: unknown
  try {
    value = JSON.parse(withoutByteOrderMark(decode(body)))
  } catch {
    return notJson('The body is not JSON.')
  }
  if (!isJsonObject(value)) return notJson('The body is not a JSON object.')

  const { depth, colons } = scan(body)
  if (depth > MAX_DEPTH) {
    return { kind: 'flawed', members: value, description: `The message nests deeper than ${MAX_DEPTH} levels.` }
  }
  if (countMembers(value) !== colons) {
    return { kind: 'flawed', members: value, description: 'A member name occurs twice in one object.' }
  }
  return { kind: 'object', members: value }
}

/**
 * Whether two names of members differ in their case alone, in a body that {@link readJsonObject} has read. Here they are
 * two members; to a program that takes names in any case, as Go does, the last one counts.
 */
export function hasLookAlikes(body: Uint8Array): boolean {
  const json = readJsonObject(body)
  if (json.kind !== 'object') return true
  const names = Object.keys(json.members)
  return new Set(names.map(caseless)).size < names.length
}

/**
 * The same text for names that such a program takes for one. To Go, whose cases are those of Unicode, the long s (U+017F) is
 * an s, which lower case alone leaves as it is.
 */
export function caseless(name: string): string {
  return name.toUpperCase().toLowerCase()
}

export function isJsonObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function notJson(description: string): JsonObject {
  return { kind: 'not_json', description }
}

function decode(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith('{') ? text : text.replace(/^[\uFEFF \t\r\n]+/, '')
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/**
 * Counts what JSON.parse does not tell, in bytes that it has accepted: the levels of nesting, and the colons outside
 * strings. Each colon is one member as written; JSON.parse keeps the last of those with one name, so a difference
 * between colons and members is a duplicate.
 */
function scan(body: Uint8Array): { depth: number; colons: number } {
  let depth = 0
  let level = 0
  let colons = 0
  for (let i = 0; i < body.length; i += 1) {
    const byte = body[i]
    if (byte === QUOTE) {
      i = endOfString(body, i)
    } else if (byte === COLON) {
      colons += 1
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      level += 1
      if (level > depth) depth = level
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      level -= 1
    }
  }
  return { depth, colons }
}

/** The index of the quote that closes the string opened at `start`. */
function endOfString(body: Uint8Array, start: number): number {
  let i = start + 1
  while (i < body.length && body[i] !== QUOTE) i += body[i] === BACKSLASH ? 2 : 1
  return i
}

/** Recursion is bounded by MAX_DEPTH, which is checked first. */
function countMembers(value: object): number {
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      if (typeof item === 'object' && item !== null) count += countMembers(item)
    }
    return count
  }
  for (const name of Object.keys(value)) {
    const member = (value as Members)[name]
    count += 1
    if (typeof member === 'object' && member !== null) count += countMembers(member)
  }
  return count
}
