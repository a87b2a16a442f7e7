import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesToHex, hexToBytes } from '../src/index.ts'
import { createBlockCipher, KeyWrapError, unwrapKey, wrapKey } from '../src/node-aes.ts'
import { bytes } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'

const keyOfAnySize = fc.constantFrom(16, 24, 32).chain(bytes)

describe('AES of single blocks', () => {
  test.each([
    ['128', '000102030405060708090a0b0c0d0e0f', '69c4e0d86a7b0430d8cdb78070b4c55a'],
    ['192', '000102030405060708090a0b0c0d0e0f1011121314151617', 'dda97ca4864cdfe06eaf70a0ec0d7191'],
    ['256', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', '8ea2b7ca516745bfeafc49904b496089'],
  ])('FIPS 197 appendix C, AES-%s', (_, key, ciphertext) => {
    const cipher = createBlockCipher(hexToBytes(key))
    const clear = '00112233445566778899aabbccddeeff'
    expect(bytesToHex(cipher.encryptBlock(hexToBytes(clear)))).toBe(ciphertext)
    expect(bytesToHex(cipher.decryptBlock(hexToBytes(ciphertext)))).toBe(clear)
  })

  test('does each block for itself, however many went before', () => {
    fc.assert(
      fc.property(keyOfAnySize, fc.array(bytes(16), { minLength: 1, maxLength: 5 }), (key, blocks) => {
        const cipher = createBlockCipher(key)
        for (const block of blocks) {
          const fresh = createCipheriv(`aes-${8 * key.length}-ecb`, key, null).setAutoPadding(false)
          const encrypted = cipher.encryptBlock(block)
          expect(bytesToHex(encrypted)).toBe(fresh.update(block).toString('hex'))
          expect(cipher.decryptBlock(encrypted)).toEqual(block)
        }
      }),
    )
  })

  test('gives memory of its own, so that a later block does not change an earlier one', () => {
    const cipher = createBlockCipher(new Uint8Array(16))
    const first = cipher.encryptBlock(new Uint8Array(16))
    const before = bytesToHex(first)
    cipher.encryptBlock(new Uint8Array(16).fill(1))
    expect(bytesToHex(first)).toBe(before)
    expect(Buffer.isBuffer(first)).toBe(false)
  })

  test('has copied its key', () => {
    const key = new Uint8Array(16).fill(7)
    const cipher = createBlockCipher(key)
    key.fill(0)
    expect(cipher.encryptBlock(new Uint8Array(16))).toEqual(
      createBlockCipher(new Uint8Array(16).fill(7)).encryptBlock(new Uint8Array(16)),
    )
  })

  test.each([0, 15, 17, 32])('refuses %i bytes as a block, and goes on rightly', (size) => {
    const cipher = createBlockCipher(new Uint8Array(16))
    const expected = bytesToHex(cipher.encryptBlock(new Uint8Array(16)))
    expect(() => cipher.encryptBlock(new Uint8Array(size))).toThrow(RangeError)
    expect(() => cipher.decryptBlock(new Uint8Array(size))).toThrow(RangeError)
    expect(bytesToHex(cipher.encryptBlock(new Uint8Array(16)))).toBe(expected)
    expect(bytesToHex(cipher.decryptBlock(hexToBytes(expected)))).toBe('00'.repeat(16))
  })

  test.each([0, 8, 15, 17, 33])('refuses a key of %i bytes', (size) => {
    expect(() => createBlockCipher(new Uint8Array(size))).toThrow(RangeError)
  })
})

const KEK_256 = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
const KEY_256 = '00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f'

describe('key wrap (RFC 3394)', () => {
  test.each([
    ['4.1', 16, 16, '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'],
    ['4.2', 24, 16, '96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d'],
    ['4.3', 32, 16, '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7'],
    ['4.4', 24, 24, '031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2'],
    ['4.5', 32, 24, 'a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1'],
    ['4.6', 32, 32, '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21'],
  ])('§%s: KEK of %i bytes, key of %i', (_, kekSize, keySize, wrapped) => {
    const kek = hexToBytes(KEK_256.slice(0, 2 * kekSize))
    const key = hexToBytes(KEY_256.slice(0, 2 * keySize))
    expect(bytesToHex(wrapKey(kek, key))).toBe(wrapped)
    expect(unwrapKey(kek, hexToBytes(wrapped))).toEqual(key)
  })

  test('opens what it wrapped, and nothing with a bit flipped or under another KEK', () => {
    fc.assert(
      fc.property(keyOfAnySize, keyOfAnySize, fc.nat(), (kek, key, where) => {
        const wrapped = wrapKey(kek, key)
        expect(wrapped).toHaveLength(key.length + 8)
        expect(unwrapKey(kek, wrapped)).toEqual(key)

        const changed = wrapped.slice()
        changed[(where >> 3) % changed.length]! ^= 1 << (where & 7)
        expect(codeThrownBy(() => unwrapKey(kek, changed))).toBe('key_wrap_integrity')

        const otherKek = kek.slice()
        otherKek[(where >> 3) % otherKek.length]! ^= 1 << (where & 7)
        expect(codeThrownBy(() => unwrapKey(otherKek, wrapped))).toBe('key_wrap_integrity')
      }),
    )
  })

  test.each([0, 8, 16, 23, 25])('refuses %i bytes as a wrapped key like any other', (size) => {
    expect(() => unwrapKey(new Uint8Array(16), new Uint8Array(size))).toThrow(KeyWrapError)
  })

  test.each([0, 8, 15, 17])('does not wrap %i bytes', (size) => {
    expect(() => wrapKey(new Uint8Array(16), new Uint8Array(size))).toThrow(RangeError)
  })

  test.each([0, 15, 20, 33])('takes no KEK of %i bytes', (size) => {
    expect(() => wrapKey(new Uint8Array(size), new Uint8Array(16))).toThrow(RangeError)
    expect(() => unwrapKey(new Uint8Array(size), new Uint8Array(24))).toThrow(RangeError)
  })
})
