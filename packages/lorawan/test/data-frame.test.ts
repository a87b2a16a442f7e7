import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  type DataFrame,
  decodeDataFrame,
  directionOf,
  encodeDataFrame,
  hexToBytes,
  parseDevAddr,
} from '../src/index.ts'
import { dataFrame, hexOf } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

const WITHOUT_PORT: DataFrame = {
  mType: 'confirmed-up',
  devAddr: parseDevAddr('01020304'),
  adr: true,
  adrAckReq: false,
  ack: true,
  fPending: false,
  fCnt: 0x1112,
  fOpts: hexToBytes('0203'),
  frmPayload: new Uint8Array(0),
  mic: hexToBytes('b1b2b3b4'),
}
const BASELINE: DataFrame = { ...WITHOUT_PORT, fPort: 10, frmPayload: hexToBytes('a1a2a3') }
const BASELINE_BYTES = '80' + '04030201' + 'a2' + '1211' + '0203' + '0a' + 'a1a2a3' + 'b1b2b3b4'

const M_TYPES = {
  'unconfirmed-up': 0x40,
  'unconfirmed-down': 0x60,
  'confirmed-up': 0x80,
  'confirmed-down': 0xa0,
} as const

function onAir(frame: DataFrame): Uint8Array {
  return Uint8Array.of(...encodeDataFrame(frame), ...frame.mic)
}

describe('a data frame', () => {
  test('comes back from its own encoding', () => {
    fc.assert(
      fc.property(dataFrame, (frame) => {
        expect(decodeDataFrame(onAir(frame))).toEqual(frame)
      }),
    )
  })

  test('is encoded again to the bytes that were decoded, whatever they were', () => {
    const anyFrame = fc.uint8Array({ minLength: 12, maxLength: 80 }).chain((tail) =>
      fc.constantFrom(...Object.values(M_TYPES)).map((mhdr) => {
        tail[0] = mhdr
        return tail
      }),
    )
    fc.assert(
      fc.property(anyFrame, (phyPayload) => {
        let frame: DataFrame | undefined
        const code = codeThrownBy(() => (frame = decodeDataFrame(phyPayload)))
        if (frame === undefined) expect(['frame_size', 'frame_field']).toContain(code)
        else expect(onAir(frame)).toEqual(phyPayload)
      }),
    )
  })

  test('is read as lora-packet reads it', () => {
    fc.assert(
      fc.property(dataFrame, (frame) => {
        const theirs = loraPacket.fromWire(Buffer.from(onAir(frame)))
        expect(theirs.getDir()).toBe(directionOf(frame.mType))
        expect(theirs.isConfirmed()).toBe(frame.mType.startsWith('confirmed'))
        expect(hexOf(theirs.DevAddr)).toBe(frame.devAddr)
        expect(theirs.getFCnt()).toBe(frame.fCnt)
        expect(theirs.getFCtrlADR()).toBe(frame.adr)
        expect(theirs.getFCtrlADRACKReq()).toBe(frame.adrAckReq)
        expect(theirs.getFCtrlACK()).toBe(frame.ack)
        expect(theirs.getFCtrlFPending()).toBe(frame.fPending)
        expect(hexOf(theirs.FOpts)).toBe(bytesToHex(frame.fOpts))
        expect(theirs.getFPort()).toBe(frame.fPort ?? null)
        expect(hexOf(theirs.FRMPayload)).toBe(bytesToHex(frame.frmPayload))
        expect(hexOf(theirs.MIC)).toBe(bytesToHex(frame.mic))
      }),
    )
  })

  test('has its fields little-endian, in the order of LoRaWAN 1.0.3 §4', () => {
    expect(bytesToHex(onAir(BASELINE))).toBe(BASELINE_BYTES)
    expect(decodeDataFrame(hexToBytes(BASELINE_BYTES))).toEqual(BASELINE)
  })

  test.each(Object.entries(M_TYPES))('%s has the MHDR %i', (mType, mhdr) => {
    const phyPayload = hexToBytes(BASELINE_BYTES)
    phyPayload[0] = mhdr
    const frame = decodeDataFrame(phyPayload)
    expect(frame.mType).toBe(mType)
    expect(directionOf(frame.mType)).toBe(mType.endsWith('up') ? 'up' : 'down')
    expect(encodeDataFrame(frame)[0]).toBe(mhdr)
  })

  test('tells a payload of no bytes from no payload', () => {
    expect(decodeDataFrame(onAir({ ...WITHOUT_PORT, fPort: 10 }))).toHaveProperty('fPort', 10)
    expect(decodeDataFrame(onAir(WITHOUT_PORT))).not.toHaveProperty('fPort')
  })

  test('has bytes of its own when the received ones are used again', () => {
    const received = Buffer.from(BASELINE_BYTES, 'hex')
    const frame = decodeDataFrame(received)
    received.fill(0)
    expect(frame).toEqual(BASELINE)
  })

  test('has at least 12 bytes', () => {
    const shortest = hexToBytes('40' + '04030201' + '00' + '0000' + 'b1b2b3b4')
    expect(codeThrownBy(() => decodeDataFrame(shortest))).toBeUndefined()
    for (let size = 0; size < shortest.length; size++) {
      expect(codeThrownBy(() => decodeDataFrame(shortest.subarray(0, size)))).toBe('frame_size')
    }
  })

  test('has at most 255 bytes', () => {
    const frame = { ...BASELINE, fOpts: new Uint8Array(0) }
    const largest = onAir({ ...frame, frmPayload: new Uint8Array(242) })
    expect(largest).toHaveLength(255)
    expect(codeThrownBy(() => decodeDataFrame(largest))).toBeUndefined()
    expect(codeThrownBy(() => decodeDataFrame(Uint8Array.of(...largest, 0)))).toBe('frame_size')
    expect(codeThrownBy(() => encodeDataFrame({ ...frame, frmPayload: new Uint8Array(243) }))).toBe('frame_size')
  })

  test('has no more FOpts than bytes', () => {
    const phyPayload = hexToBytes('40' + '04030201' + '02' + '0000' + '0203' + 'b1b2b3b4')
    expect(decodeDataFrame(phyPayload).fOpts).toHaveLength(2)
    phyPayload[5] = 0x03
    expect(codeThrownBy(() => decodeDataFrame(phyPayload))).toBe('frame_size')
  })

  test('has no other MHDR: not that of a join or of another Major, and no RFU bit', () => {
    const known: number[] = Object.values(M_TYPES)
    for (let mhdr = 0; mhdr <= 0xff; mhdr++) {
      const phyPayload = hexToBytes(BASELINE_BYTES)
      phyPayload[0] = mhdr
      expect(codeThrownBy(() => decodeDataFrame(phyPayload))).toBe(known.includes(mhdr) ? undefined : 'frame_type')
    }
  })

  test('has MAC commands in FOpts or under FPort 0, not in both (LoRaWAN 1.0.3 §4.3.1.6)', () => {
    const phyPayload = hexToBytes(BASELINE_BYTES)
    phyPayload[10] = 0
    expect(codeThrownBy(() => decodeDataFrame(phyPayload))).toBe('frame_field')
    expect(codeThrownBy(() => encodeDataFrame({ ...BASELINE, fPort: 0 }))).toBe('frame_field')
    expect(codeThrownBy(() => encodeDataFrame({ ...BASELINE, fPort: 0, fOpts: new Uint8Array(0) }))).toBeUndefined()
  })

  test.each<[string, Partial<DataFrame>, Partial<DataFrame>]>([
    ['FOpts of 16 bytes', { fOpts: new Uint8Array(16) }, { fOpts: new Uint8Array(15) }],
    ['a full FCnt', { fCnt: 0x10000 }, { fCnt: 0xffff }],
    ['a negative FCnt', { fCnt: -1 }, { fCnt: 0 }],
    ['an FPort of 9 bits', { fPort: 0x100 }, { fPort: 0xff }],
  ])('cannot be made with %s', (_, broken, valid) => {
    expect(codeThrownBy(() => encodeDataFrame({ ...BASELINE, ...broken }))).toBe('frame_field')
    expect(codeThrownBy(() => encodeDataFrame({ ...BASELINE, ...valid }))).toBeUndefined()
  })

  test('cannot be made with a payload for no port', () => {
    const withoutPort = { ...WITHOUT_PORT, frmPayload: BASELINE.frmPayload }
    expect(codeThrownBy(() => encodeDataFrame(withoutPort))).toBe('frame_field')
    expect(codeThrownBy(() => encodeDataFrame({ ...withoutPort, fPort: 10 }))).toBeUndefined()
  })
})
