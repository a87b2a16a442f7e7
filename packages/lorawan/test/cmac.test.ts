import { describe, expect, test } from 'vitest'
import { bytesToHex, cmac, computeMic, equalMic, hexToBytes } from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'

// RFC 4493 §4.
const CIPHER = createBlockCipher(hexToBytes('2b7e151628aed2a6abf7158809cf4f3c'))
const MESSAGE =
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710'

describe('AES-CMAC (RFC 4493 §4)', () => {
  test.each([
    ['example 1', 0, 'bb1d6929e95937287fa37d129b756746'],
    ['example 2', 16, '070a16b46b4d4144f79bdd9dd04a287c'],
    ['example 3', 40, 'dfa66747de9ae63030ca32611497c827'],
    ['example 4', 64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('%s: %i bytes', (_, length, tag) => {
    const message = hexToBytes(MESSAGE.slice(0, 2 * length))
    expect(bytesToHex(cmac(CIPHER, message))).toBe(tag)
    expect(bytesToHex(computeMic(CIPHER, message))).toBe(tag.slice(0, 8))
    expect(bytesToHex(message)).toBe(MESSAGE.slice(0, 2 * length))
  })

  test('works with AES-256 as well (NIST SP 800-38B examples, D.3, 16 bytes)', () => {
    const cipher = createBlockCipher(hexToBytes('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4'))
    expect(bytesToHex(cmac(cipher, hexToBytes(MESSAGE.slice(0, 32))))).toBe('28a7023f452e8f82bd4bf28d8c37c35c')
  })
})

describe('the comparison of MICs', () => {
  const mic = hexToBytes('00fe7f01')

  test('accepts the same 4 bytes', () => {
    expect(equalMic(mic, mic.slice())).toBe(true)
  })

  test('refuses every flipped bit', () => {
    for (let bit = 0; bit < 32; bit++) {
      const changed = mic.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(equalMic(mic, changed)).toBe(false)
    }
  })

  test.each(['', '00', '00fe7f', '00fe7f0100'])('refuses %j, of another length, on both sides', (other) => {
    expect(equalMic(mic, hexToBytes(other))).toBe(false)
    expect(equalMic(hexToBytes(other), mic)).toBe(false)
    expect(equalMic(hexToBytes(other), hexToBytes(other))).toBe(false)
  })
})
