import { IdentifierError } from './errors.ts'
import { type JoinEui, parseJoinEui } from './identifiers.ts'

export const EUI64_BITS = 64
const HEX_DIGIT_BITS = 4

/** Every JoinEUI that begins with the first `bits` bits (0 to 64) of `joinEui`, whose other bits are 0. */
export interface JoinEuiPrefix {
  readonly joinEui: JoinEui
  readonly bits: number
}

/** All JoinEUIs there are. */
export const EVERY_JOIN_EUI: JoinEuiPrefix = { joinEui: parseJoinEui('0000000000000000'), bits: 0 }

/**
 * From text such as `70b3d57ed0000000/40`; digits left out at the end are 0: `70b3d5/24`.
 * @throws {IdentifierError} `identifier_malformed`, also for a 1 behind the prefix
 */
export function parseJoinEuiPrefix(text: string): JoinEuiPrefix {
  const [, digits, bits] = /^([0-9a-fA-F]{1,16})\/(\d{1,2})$/.exec(text) ?? []
  if (digits === undefined || bits === undefined)
    throw new IdentifierError('identifier_malformed', 'a prefix of JoinEUIs is 1 to 16 hexadecimal digits, /, 0 to 64')
  const prefix = { joinEui: parseJoinEui(digits.padEnd(EUI64_BITS / HEX_DIGIT_BITS, '0')), bits: Number(bits) }
  if (!isJoinEuiPrefix(prefix))
    throw new IdentifierError('identifier_malformed', 'a prefix of JoinEUIs has 0 to 64 bits, and only 0 behind them')
  return prefix
}

/** As {@link parseJoinEuiPrefix} takes it, with all 16 digits. */
export function formatJoinEuiPrefix({ joinEui, bits }: JoinEuiPrefix): string {
  return `${joinEui}/${bits}`
}

/** Whether the number of bits is one, and all bits behind them are 0: so each prefix has one form. */
export function isJoinEuiPrefix({ joinEui, bits }: JoinEuiPrefix): boolean {
  if (!Number.isInteger(bits) || bits < 0 || bits > EUI64_BITS) return false
  return (BigInt(`0x${joinEui}`) & ((1n << BigInt(EUI64_BITS - bits)) - 1n)) === 0n
}

export function hasPrefix(joinEui: JoinEui, prefix: JoinEuiPrefix): boolean {
  const rest = BigInt(EUI64_BITS - prefix.bits)
  return BigInt(`0x${joinEui}`) >> rest === BigInt(`0x${prefix.joinEui}`) >> rest
}
