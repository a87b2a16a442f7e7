import { bytesToHex } from '@mortise/lorawan'

/** How a party writes hexadecimal text. Every party reads both. */
export type HexCase = 'lower' | 'upper'

export function hexOf(bytes: Uint8Array, hexCase: HexCase): string {
  return inCase(bytesToHex(bytes), hexCase)
}

/** Of text that is lower-case hexadecimal, as identifiers and tokens are kept. */
export function inCase(digits: string, hexCase: HexCase): string {
  return hexCase === 'lower' ? digits : digits.toUpperCase()
}
