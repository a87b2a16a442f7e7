import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  dataMic10,
  dataMic11Down,
  dataMic11Up,
  directionOf,
  encodeDataFrame,
  hexToBytes,
  parseDevAddr,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, dataFrame, hexOf, key, uint16, uint8 } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

const DEV_ADDR = parseDevAddr('01020304')
const CIPHER = createBlockCipher(new Uint8Array(16).fill(2))
const OTHER_CIPHER = createBlockCipher(hexToBytes('02020202020202020202020202020203'))

/** The high 16 bits of a counter as lora-packet wants them: in the order on air. */
function highBytes(value: number): Buffer {
  return bigEndian(2, value).reverse()
}

describe('the MIC of a data frame', () => {
  test('is, in 1.0, the one that lora-packet computes, over the full counter', () => {
    fc.assert(
      fc.property(dataFrame, key, uint16, (frame, nwkSKey, high) => {
        const bytes = encodeDataFrame(frame)
        const theirs = loraPacket.fromWire(Buffer.concat([bytes, frame.mic]))
        const fCnt = high * 0x10000 + frame.fCnt
        expect(hexOf(dataMic10(createBlockCipher(nwkSKey), directionOf(frame.mType), frame.devAddr, fCnt, bytes))).toBe(
          hexOf(loraPacket.calculateMIC(theirs, buffer(nwkSKey), undefined, highBytes(high))),
        )
      }),
    )
  })

  test('is, in a 1.1 uplink, the one that lora-packet computes, acknowledging and not', () => {
    // lora-packet takes port 0 for an acknowledgement, so those uplinks are left out.
    const uplink = dataFrame.filter((frame) => directionOf(frame.mType) === 'up' && frame.fPort !== 0)
    fc.assert(
      fc.property(uplink, key, key, uint16, uint16, uint8, uint8, (frame, fKey, sKey, high, acked, txDr, txCh) => {
        const bytes = encodeDataFrame(frame)
        const theirs = loraPacket.fromWire(Buffer.concat([bytes, frame.mic]))
        const theirInputs = Buffer.concat([bigEndian(2, acked), Buffer.of(txDr, txCh)])
        const inputs = {
          confFCnt: frame.ack ? acked : 0,
          txDr,
          txCh,
          devAddr: frame.devAddr,
          fCnt: high * 0x10000 + frame.fCnt,
        }
        expect(hexOf(dataMic11Up(createBlockCipher(fKey), createBlockCipher(sKey), inputs, bytes))).toBe(
          hexOf(loraPacket.calculateMIC(theirs, buffer(fKey), buffer(sKey), highBytes(high), theirInputs)),
        )
      }),
    )
  })

  test('is, in a 1.1 downlink, the one that lora-packet computes', () => {
    const downlink = dataFrame.filter((frame) => directionOf(frame.mType) === 'down')
    fc.assert(
      fc.property(downlink, key, uint16, uint16, (frame, sKey, high, confFCnt) => {
        const bytes = encodeDataFrame(frame)
        const theirs = loraPacket.fromWire(Buffer.concat([bytes, frame.mic]))
        const inputs = { confFCnt, devAddr: frame.devAddr, fCnt: high * 0x10000 + frame.fCnt }
        expect(hexOf(dataMic11Down(createBlockCipher(sKey), inputs, bytes))).toBe(
          // In a downlink lora-packet wants the counter in the order on air.
          hexOf(loraPacket.calculateMIC(theirs, undefined, buffer(sKey), highBytes(high), highBytes(confFCnt))),
        )
      }),
    )
  })

  test('is the published one in 1.0 (lora-rs/lora-rs, lorawan.rs, downlink with FCnt 76543)', () => {
    const bytes = hexToBytes('a00403020180ff2a2a0af1a36a05d0125f885d')
    expect(bytesToHex(dataMic10(CIPHER, 'down', DEV_ADDR, 76543, bytes))).toBe('881d49e1')
  })

  test.each([
    ['without ACK', 0, '400403020180010001a694642615', '7612366a'],
    ['with ACK of FCnt 1', 1, '4004030201a0010001a694642615', 'f842c4b9'],
  ])('is the published one in a 1.1 uplink %s (brocaar/lorawan, phypayload_test.go)', (_, confFCnt, bytes, mic) => {
    const inputs = { confFCnt, txDr: 2, txCh: 3, devAddr: DEV_ADDR, fCnt: 1 }
    expect(bytesToHex(dataMic11Up(OTHER_CIPHER, CIPHER, inputs, hexToBytes(bytes)))).toBe(mic)
  })

  test('is the published one in a 1.1 downlink (brocaar/lorawan, phypayload_test.go)', () => {
    const inputs = { confFCnt: 0, devAddr: DEV_ADDR, fCnt: 0 }
    expect(bytesToHex(dataMic11Down(CIPHER, inputs, hexToBytes('6004030201030000dfb4f1')))).toBe('e24f1f9f')
  })

  test('covers the acknowledged counter modulo 2^16 (LoRaWAN 1.1 §4.4)', () => {
    const bytes = hexToBytes('6004030201200000')
    const mic = (confFCnt: number) => bytesToHex(dataMic11Down(CIPHER, { confFCnt, devAddr: DEV_ADDR, fCnt: 5 }, bytes))
    expect(mic(0x30007)).toBe(mic(7))
    expect(mic(0x30008)).not.toBe(mic(7))
  })

  test('exists for a counter of 32 bits and a frame of 255 bytes, not beyond', () => {
    const frame = new Uint8Array(251)
    expect(codeThrownBy(() => dataMic10(CIPHER, 'up', DEV_ADDR, 0xffffffff, frame))).toBeUndefined()
    expect(codeThrownBy(() => dataMic10(CIPHER, 'up', DEV_ADDR, 0x100000000, frame))).toBe('frame_field')
    expect(codeThrownBy(() => dataMic10(CIPHER, 'up', DEV_ADDR, -1, frame))).toBe('frame_field')
    expect(codeThrownBy(() => dataMic10(CIPHER, 'up', DEV_ADDR, 0, new Uint8Array(252)))).toBe('frame_size')
  })

  test.each([{ txDr: 0x100 }, { txCh: 0x100 }, { txDr: -1 }, { confFCnt: -1 }, { confFCnt: 0.5 }])(
    'does not cut %j to size',
    (broken) => {
      const inputs = { confFCnt: 0, txDr: 0xff, txCh: 0xff, devAddr: DEV_ADDR, fCnt: 0 }
      const bytes = new Uint8Array(12)
      expect(codeThrownBy(() => dataMic11Up(CIPHER, CIPHER, { ...inputs, ...broken }, bytes))).toBe('frame_field')
      expect(codeThrownBy(() => dataMic11Up(CIPHER, CIPHER, inputs, bytes))).toBeUndefined()
    },
  )
})
