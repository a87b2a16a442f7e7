import { MessageError } from './message-error.ts'

/*
 * Values of members as peers really write them (TS002 1.0 §22.3 allows an optional 0x and either case). An optional
 * member that is "" or null counts as absent: TTS sent "CFList":"" until 2022, and Helium sends "SenderNSID":"".
 */

const HEX = /^[0-9a-f]*$/
const DECIMAL = /^[0-9]{1,10}$/

/** Lower-case hex without prefix (possibly an odd number of digits), or undefined when the value is not hex text. */
export function readHex(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const digits = withoutHexPrefix(value).toLowerCase()
  return HEX.test(digits) ? digits : undefined
}

/** As readHex, for exactly `bytes` bytes. */
export function readHexOf(value: unknown, bytes: number): string | undefined {
  const digits = readHex(value)
  return digits?.length === 2 * bytes ? digits : undefined
}

/**
 * As readHexOf, for a mandatory member.
 * @throws MessageError Malformed
 */
export function requireHex(name: string, value: unknown, bytes: number): string {
  const digits = readHexOf(value, bytes)
  if (digits === undefined) {
    throw new MessageError('Malformed', `${name} must be hex of ${bytes} ${bytes === 1 ? 'byte' : 'bytes'}.`)
  }
  return digits
}

export function withoutHexPrefix(text: string): string {
  return text.startsWith('0x') || text.startsWith('0X') ? text.slice(2) : text
}

/** An unsigned integer up to `max` (below 10^10), as a JSON number or as decimal text; undefined when it is neither. */
export function readUnsigned(value: unknown, max: number): number | undefined {
  const number = typeof value === 'string' && DECIMAL.test(value) ? Number(value) : value
  // Adding 0 turns -0, which JSON can write, into 0.
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= max ? number + 0 : undefined
}

export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}
