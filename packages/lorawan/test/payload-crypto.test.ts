import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  cryptFOpts11,
  cryptFrmPayload,
  type DataFrame,
  directionOf,
  encodeDataFrame,
  type FOptsCounter,
  hexToBytes,
  parseDevAddr,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, dataFrame, devAddr, direction, hexOf, key, uint16, uint32 } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

const DEV_ADDR = parseDevAddr('01020304')
const CIPHER = createBlockCipher(new Uint8Array(16).fill(1))

describe('FRMPayload', () => {
  test('is deciphered as lora-packet does it, with the full counter', () => {
    fc.assert(
      fc.property(dataFrame, key, uint16, (frame, aKey, high) => {
        const theirs = loraPacket.fromWire(Buffer.concat([encodeDataFrame(frame), frame.mic]))
        const clear = cryptFrmPayload(
          createBlockCipher(aKey),
          directionOf(frame.mType),
          frame.devAddr,
          high * 0x10000 + frame.fCnt,
          frame.frmPayload,
        )
        const theirClear = loraPacket.decrypt(theirs, buffer(aKey), buffer(aKey), bigEndian(2, high).reverse())
        expect(bytesToHex(clear)).toBe(hexOf(theirClear))
      }),
    )
  })

  test('comes back when crypted twice, and is left as it was', () => {
    fc.assert(
      fc.property(direction, devAddr, uint32, fc.uint8Array({ maxLength: 242 }), (dir, address, fCnt, payload) => {
        const before = bytesToHex(payload)
        const ciphertext = cryptFrmPayload(CIPHER, dir, address, fCnt, payload)
        expect(bytesToHex(payload)).toBe(before)
        expect(cryptFrmPayload(CIPHER, dir, address, fCnt, ciphertext)).toEqual(payload)
      }),
    )
  })

  test.each([
    // brocaar/lorawan, phypayload_test.go.
    ['01010101010101010101010101010101', 'up', '01020304', 1, '68656c6c6f', 'a694642615'],
    // lora-rs/lora-rs, lorawan.rs: a counter above 16 bits.
    ['01010101010101010101010101010101', 'down', '01020304', 76543, '68656c6c6f206c6f7261', '0af1a36a05d0125f885d'],
    // anthonykirby/lora-packet, decrypt_test.ts: three blocks, the last in part.
    [
      'ec925802ae430ca77fd3dd73cb2cc588',
      'up',
      '49be7df1',
      4,
      '54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f672e',
      '55332de41a11adc072553544429ce7787707d1c316e027e7e5e334263376affb8aa17ad30075293f28dea8a2',
    ],
  ] as const)('has the published ciphertext under %s, %s', (aKey, dir, address, fCnt, clear, ciphertext) => {
    const cipher = createBlockCipher(hexToBytes(aKey))
    expect(bytesToHex(cryptFrmPayload(cipher, dir, parseDevAddr(address), fCnt, hexToBytes(clear)))).toBe(ciphertext)
  })

  test('needs a counter of 32 bits and fits a frame', () => {
    const crypt = (fCnt: number, size: number) => () =>
      cryptFrmPayload(CIPHER, 'up', DEV_ADDR, fCnt, new Uint8Array(size))
    expect(codeThrownBy(crypt(0xffffffff, 242))).toBeUndefined()
    expect(codeThrownBy(crypt(0x100000000, 242))).toBe('frame_field')
    expect(codeThrownBy(crypt(-1, 242))).toBe('frame_field')
    expect(codeThrownBy(crypt(0, 243))).toBe('frame_size')
  })

  test('that is a Buffer stays as it was too', () => {
    const payload = Buffer.from('00112233', 'hex')
    cryptFrmPayload(CIPHER, 'up', DEV_ADDR, 1, payload)
    expect(payload.toString('hex')).toBe('00112233')
  })
})

/** LoRaWAN 1.1 §4.3.1.5: AFCntDown counts the downlinks of application ports, NFCntDown all others. */
function counterOf({ mType, fPort }: DataFrame): FOptsCounter {
  if (directionOf(mType) === 'up') return 'FCntUp'
  return fPort === undefined || fPort === 0 ? 'NFCntDown' : 'AFCntDown'
}

describe('FOpts of 1.1', () => {
  test('are deciphered as lora-packet does it, by the erratum', () => {
    fc.assert(
      fc.property(dataFrame, key, uint16, (frame, nwkSEncKey, high) => {
        const dir = directionOf(frame.mType)
        const counter = counterOf(frame)
        const theirs = loraPacket.fromWire(Buffer.concat([encodeDataFrame(frame), frame.mic]))
        const fCnt = high * 0x10000 + frame.fCnt
        expect(hexOf(cryptFOpts11(createBlockCipher(nwkSEncKey), dir, counter, frame.devAddr, fCnt, frame.fOpts))).toBe(
          hexOf(theirs.decryptFOpts(buffer(nwkSEncKey), undefined, bigEndian(2, high).reverse())),
        )
      }),
    )
  })

  test.each([
    // brocaar/lorawan, phypayload_test.go: 1.1 with FOpts encrypted; ExamplePHYPayload_lorawan11EncryptedFoptsEncode.
    ['02020202020202020202020202020204', 'NFCntDown', 'dfb4f1'],
    ['01010101010101010101010101010200', 'AFCntDown', '22ac0a'],
  ] as const)('have the published ciphertext under %s, %s', (nwkSEncKey, counter, ciphertext) => {
    const cipher = createBlockCipher(hexToBytes(nwkSEncKey))
    expect(bytesToHex(cryptFOpts11(cipher, 'down', counter, DEV_ADDR, 0, hexToBytes('020701')))).toBe(ciphertext)
  })

  test('do not share a key stream between NFCntDown and AFCntDown', () => {
    const crypt = (counter: FOptsCounter) =>
      bytesToHex(cryptFOpts11(CIPHER, 'down', counter, DEV_ADDR, 1, new Uint8Array(15)))
    expect(crypt('NFCntDown')).not.toBe(crypt('AFCntDown'))
  })

  test.each([
    ['up', 'NFCntDown'],
    ['up', 'AFCntDown'],
    ['down', 'FCntUp'],
  ] as const)('of a frame %s are not counted by %s', (dir, counter) => {
    const crypt = (itsCounter: FOptsCounter) => () =>
      cryptFOpts11(CIPHER, dir, itsCounter, DEV_ADDR, 1, new Uint8Array(1))
    expect(codeThrownBy(crypt(counter))).toBe('frame_field')
    expect(codeThrownBy(crypt(dir === 'up' ? 'FCntUp' : 'NFCntDown'))).toBeUndefined()
  })

  test('have at most 15 bytes and a counter of 32 bits', () => {
    const crypt = (fCnt: number, size: number) => () =>
      cryptFOpts11(CIPHER, 'up', 'FCntUp', DEV_ADDR, fCnt, new Uint8Array(size))
    expect(codeThrownBy(crypt(0xffffffff, 15))).toBeUndefined()
    expect(codeThrownBy(crypt(0xffffffff, 16))).toBe('frame_field')
    expect(codeThrownBy(crypt(0x100000000, 15))).toBe('frame_field')
  })
})
