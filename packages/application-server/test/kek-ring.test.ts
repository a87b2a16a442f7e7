import { describe, expect, test } from 'vitest'
import { KekRing } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { wrap } from './key-wrap.ts'

const KEY = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const KEK_1 = Buffer.alloc(16, 0x11)
const KEK_2 = Buffer.alloc(32, 0x22)

function ring(): KekRing {
  const keks = new KekRing()
  keks.add('as-1', KEK_1)
  keks.add('as-2', KEK_2)
  return keks
}

describe('the KEK ring', () => {
  test.each([
    // RFC 3394 §4.1, §4.2, §4.3: 128 bits of key data under KEKs of 128, 192 and 256 bits.
    ['000102030405060708090a0b0c0d0e0f', '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'],
    ['000102030405060708090a0b0c0d0e0f1011121314151617', '96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d'],
    [
      '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7',
    ],
  ])('opens the published envelope under %s', (kek, wrapped) => {
    const keks = new KekRing()
    keks.add('as', Buffer.from(kek, 'hex'))
    const appSKey = keks.unwrapAppSKey({ kekLabel: 'as', aesKey: Buffer.from(wrapped, 'hex') })
    expect(appSKey.use((bytes) => Buffer.from(bytes).toString('hex'))).toBe(KEY.toString('hex'))
  })

  test('holds the old and the new KEK side by side, until the old one is removed', async () => {
    const keks = ring()
    const open = (kekLabel: string, kek: Uint8Array) => () =>
      keks.unwrapAppSKey({ kekLabel, aesKey: wrap(kek, KEY) }).use((bytes) => Buffer.from(bytes).toString('hex'))
    expect(open('as-1', KEK_1)()).toBe(KEY.toString('hex'))
    expect(open('as-2', KEK_2)()).toBe(KEY.toString('hex'))
    keks.remove('as-1')
    expect(await codeOf(open('as-1', KEK_1))).toBe('kek_label_unknown')
    expect(open('as-2', KEK_2)()).toBe(KEY.toString('hex'))
  })

  const wrapped = wrap(KEK_1, KEY)
  const flipped = Uint8Array.from(wrapped, (byte, index) => (index === 23 ? byte ^ 1 : byte))
  test.each([
    ['another label', { kekLabel: 'as-3', aesKey: wrapped }, 'kek_label_unknown'],
    ['the label of another KEK', { kekLabel: 'as-2', aesKey: wrapped }, 'key_wrap_integrity'],
    ['a flipped bit', { kekLabel: 'as-1', aesKey: flipped }, 'key_wrap_integrity'],
    ['a key in clear without label', { aesKey: KEY }, 'key_in_clear'],
    ['a key in clear with an empty label', { kekLabel: '', aesKey: KEY }, 'key_in_clear'],
    ['a key in clear under a label', { kekLabel: 'as-1', aesKey: KEY }, 'envelope_size'],
    ['a wrapped key without label', { aesKey: wrapped }, 'key_in_clear'],
    ['an inherited label', { kekLabel: 'constructor', aesKey: wrapped }, 'kek_label_unknown'],
  ])('refuses %s', async (_, envelope, code) => {
    const keks = ring()
    expect(await codeOf(() => keks.unwrapAppSKey(envelope))).toBe(code)
    expect(await codeOf(() => keks.unwrapAppSKey({ kekLabel: 'as-1', aesKey: wrapped }))).toBeUndefined()
  })

  test.each([
    ['a KEK of 15 bytes', 'as-3', Buffer.alloc(15), 'kek_size'],
    ['a KEK of 0 bytes', 'as-3', Buffer.alloc(0), 'kek_size'],
    ['an empty label', '', Buffer.alloc(16), 'kek_label_invalid'],
    ['a second value of a label', 'as-1', Buffer.alloc(16), 'kek_label_taken'],
  ])('does not take %s', async (_, label, kek, code) => {
    expect(
      await codeOf(() => {
        ring().add(label, kek)
      }),
    ).toBe(code)
    expect(
      await codeOf(() => {
        ring().add('as-3', Buffer.alloc(16))
      }),
    ).toBeUndefined()
  })

  test('is empty after disposal', async () => {
    const keks = ring()
    keks[Symbol.dispose]()
    expect(await codeOf(() => keks.unwrapAppSKey({ kekLabel: 'as-1', aesKey: wrapped }))).toBe('kek_label_unknown')
  })
})
