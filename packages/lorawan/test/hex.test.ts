import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesToHex, HexError, hexToBytes } from '../src/index.ts'
import { codeThrownBy } from './errors.ts'

describe('hexadecimal text', () => {
  test('agrees with that of Buffer, in both cases', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const hex = Buffer.from(bytes).toString('hex')
        expect(bytesToHex(bytes)).toBe(hex)
        expect(hexToBytes(hex)).toEqual(bytes)
        expect(hexToBytes(hex.toUpperCase())).toEqual(bytes)
      }),
    )
  })

  test('of no digits is no bytes', () => {
    expect(hexToBytes('')).toEqual(new Uint8Array(0))
    expect(bytesToHex(new Uint8Array(0))).toBe('')
  })

  test.each(['0', 'abc', '0g', 'g0', '0x00', ' 00', '00 ', '0\n', '-1', '0:', '0@', '0`', '/0', 'é0', '٣٣', 'Ā0'])(
    'refuses %j',
    (text) => {
      expect(codeThrownBy(() => hexToBytes(text))).toBe('hex_malformed')
    },
  )

  test('refuses every character that is no digit, at either place', () => {
    for (let code = 0; code < 0x250; code++) {
      const character = String.fromCharCode(code)
      const isDigit = /[0-9a-fA-F]/.test(character)
      for (const text of [`${character}0`, `0${character}`]) {
        expect(codeThrownBy(() => hexToBytes(text))).toBe(isDigit ? undefined : 'hex_malformed')
      }
    }
  })

  test('does not repeat the text, which may be a key, in the error', () => {
    const text = '00112233445566778899aabbccddeegg'
    expect(() => hexToBytes(text)).toThrow(HexError)
    expect(() => hexToBytes(text)).not.toThrow(/0011|eegg/)
  })
})
