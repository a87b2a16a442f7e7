import { HexError } from './errors.ts'

// Tables, because every identifier and frame of a join passes through here.
const BYTE_TO_HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const NOT_HEX = 0xff
const CODE_TO_NIBBLE = new Uint8Array(128).fill(NOT_HEX)
for (let nibble = 0; nibble < 16; nibble++) {
  const digit = nibble.toString(16)
  CODE_TO_NIBBLE[digit.charCodeAt(0)] = nibble
  CODE_TO_NIBBLE[digit.toUpperCase().charCodeAt(0)] = nibble
}

/** Lower-case hexadecimal text, two digits a byte, no prefix. */
export function bytesToHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += BYTE_TO_HEX[byte] ?? ''
  return hex
}

/**
 * The bytes of hexadecimal text in upper or lower case, in the order written. Neither prefix nor blanks are accepted.
 * @throws {HexError} `hex_malformed`: an odd number of digits or something that is no digit.
 */
export function hexToBytes(hex: string): Uint8Array {
  if (hex.length % 2 !== 0) throw new HexError('hex_malformed', `${hex.length} hexadecimal digits make no whole bytes`)
  const bytes = new Uint8Array(hex.length / 2)
  for (let index = 0; index < bytes.length; index++) {
    const high = CODE_TO_NIBBLE[hex.charCodeAt(2 * index)] ?? NOT_HEX
    const low = CODE_TO_NIBBLE[hex.charCodeAt(2 * index + 1)] ?? NOT_HEX
    // Both are below 16 when valid, so a higher bit in either marks a character that is no digit.
    if ((high | low) > 0x0f) throw new HexError('hex_malformed', 'a character is no hexadecimal digit')
    bytes[index] = (high << 4) | low
  }
  return bytes
}
