import { unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { bytesToHex, hexToBytes } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'

const KEY = '00112233445566778899aabbccddeeff'

describe('unwrapKeyEnvelope', () => {
  it.each([
    ['RFC 3394 §4.1', '000102030405060708090a0b0c0d0e0f', '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'],
    [
      'RFC 3394 §4.2',
      '000102030405060708090a0b0c0d0e0f1011121314151617',
      '96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d',
    ],
    [
      'RFC 3394 §4.3',
      '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7',
    ],
  ])('opens %s', (_, kek, wrapped) => {
    const envelope = { kekLabel: 'ns-000013', aesKey: hexToBytes(wrapped) }
    expect(bytesToHex(unwrapKeyEnvelope(envelope, hexToBytes(kek)))).toBe(KEY)
  })

  const kek = hexToBytes('000102030405060708090a0b0c0d0e0f')
  const aesKey = hexToBytes('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')

  it.each([
    ['no label', { aesKey }, 'key_in_clear'],
    ['an empty label', { kekLabel: '', aesKey }, 'key_in_clear'],
    ['a clear key', { aesKey: hexToBytes(KEY) }, 'key_in_clear'],
    ['a label on a key of 16 bytes', { kekLabel: 'x', aesKey: hexToBytes(KEY) }, 'wrong_size'],
    ['a wrapped key of 256 bits', { kekLabel: 'x', aesKey: new Uint8Array(40) }, 'wrong_size'],
    ['one flipped bit', { kekLabel: 'x', aesKey: aesKey.with(23, (aesKey[23] ?? 0) ^ 1) }, 'integrity_check_failed'],
  ])('refuses %s', (_, envelope, code) => {
    expect(() => unwrapKeyEnvelope(envelope, kek)).toThrow(expect.objectContaining({ name: 'KeyEnvelopeError', code }))
  })

  it('refuses another KEK, and one of no AES size', () => {
    const envelope = { kekLabel: 'x', aesKey }
    expect(() => unwrapKeyEnvelope(envelope, kek.with(0, 1))).toThrow(
      expect.objectContaining({ code: 'integrity_check_failed' }),
    )
    expect(() => unwrapKeyEnvelope(envelope, new Uint8Array(15))).toThrow(RangeError)
    expect(bytesToHex(unwrapKeyEnvelope(envelope, kek))).toBe(KEY)
  })
})
