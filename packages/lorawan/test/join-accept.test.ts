import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  computeMic,
  decodeJoinAcceptPayload,
  decryptJoinAccept,
  encodeJoinAcceptPayload,
  hasOptNeg,
  hexToBytes,
  type JoinAccept,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  JOIN_REQ_TYPE_JOIN,
  OPT_NEG,
  parseDevAddr,
  parseJoinEui,
  parseNetId,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, hexOf, joinAccept, joinEui, key, uint16 } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'
import { sealJoinAccept } from './network.ts'

const BASELINE: JoinAccept = {
  joinNonce: 0x010203,
  netId: parseNetId('040506'),
  devAddr: parseDevAddr('0708090a'),
  dlSettings: 0x8b,
  rxDelay: 0x0c,
}
const CF_LIST = hexToBytes('101112131415161718191a1b1c1d1e1f')

// The answer to the join-request of join-request.test.ts: anthonykirby/lora-packet issue 10.
const CAPTURE = {
  cipher: createBlockCipher(hexToBytes('b6b53f4a168a7a88bdf7ea135ce9cfca')),
  phyPayload: hexToBytes('204dd85ae608b87fc4889970b7d2042c9e72959b0057aed6094b16003df12de145'),
  accept: {
    joinNonce: 0xe5063a,
    netId: parseNetId('000013'),
    devAddr: parseDevAddr('26012e43'),
    dlSettings: 0x03,
    rxDelay: 1,
    cfList: hexToBytes('184f84e85684b85e84886684586e8400'),
  },
}

function theirFields(accept: JoinAccept) {
  return {
    AppNonce: bigEndian(3, accept.joinNonce),
    NetID: Buffer.from(accept.netId, 'hex'),
    DevAddr: Buffer.from(accept.devAddr, 'hex'),
    DLSettings: bigEndian(1, accept.dlSettings),
    RxDelay: bigEndian(1, accept.rxDelay),
    ...(accept.cfList && { CFList: buffer(accept.cfList) }),
  }
}

describe('a join-accept', () => {
  test('comes back from its own encoding', () => {
    fc.assert(
      fc.property(joinAccept, (accept) => {
        const payload = encodeJoinAcceptPayload(accept)
        expect(payload).toHaveLength(accept.cfList === undefined ? 13 : 29)
        expect(decodeJoinAcceptPayload(payload)).toEqual(accept)
      }),
    )
  })

  test('has its fields little-endian, in the order of LoRaWAN 1.0.3 §6.2.5, and CFList as it is', () => {
    expect(bytesToHex(encodeJoinAcceptPayload(BASELINE))).toBe('20' + '030201' + '060504' + '0a090807' + '8b' + '0c')
    expect(bytesToHex(encodeJoinAcceptPayload({ ...BASELINE, cfList: CF_LIST }))).toBe(
      '20' + '030201' + '060504' + '0a090807' + '8b' + '0c' + '101112131415161718191a1b1c1d1e1f',
    )
  })

  test('is, with OptNeg 0, the one that lora-packet makes, and opens again', () => {
    const accept10 = joinAccept.map((accept) => ({ ...accept, dlSettings: accept.dlSettings & ~OPT_NEG }))
    fc.assert(
      fc.property(accept10, key, (accept, appKey) => {
        const theirs = loraPacket.fromFields(theirFields(accept), undefined, undefined, buffer(appKey))
        const theirFrame = Buffer.concat([theirs.MHDR!, theirs.MACPayloadWithMIC!])
        const cipher = createBlockCipher(appKey)
        const payload = encodeJoinAcceptPayload(accept)
        const ours = sealJoinAccept(cipher, cipher, joinAcceptMicMessage10(payload), payload)
        expect(bytesToHex(ours)).toBe(hexOf(theirFrame))
        expect(decryptJoinAccept(cipher, theirFrame)).toEqual({ payload, mic: computeMic(cipher, payload) })
      }),
    )
  })

  test('has, with OptNeg 1, the MIC that lora-packet computes', () => {
    const accept11 = joinAccept.map((accept) => ({ ...accept, dlSettings: accept.dlSettings | OPT_NEG }))
    const joinReqType = fc.constantFrom(0x00, 0x01, 0x02, JOIN_REQ_TYPE_JOIN)
    fc.assert(
      fc.property(accept11, key, joinReqType, joinEui, uint16, (accept, jsIntKey, type, eui, devNonce) => {
        const payload = encodeJoinAcceptPayload(accept)
        const theirs = loraPacket.fromWire(Buffer.concat([payload, Buffer.alloc(4)]))
        theirs.JoinReqType = Buffer.of(type)
        theirs.JoinEUI = Buffer.from(eui, 'hex')
        theirs.DevNonce = bigEndian(2, devNonce)
        const message = joinAcceptMicMessage11(type, eui, devNonce, payload)
        expect(hexOf(computeMic(createBlockCipher(jsIntKey), message))).toBe(
          hexOf(loraPacket.calculateMIC(theirs, buffer(jsIntKey))),
        )
      }),
    )
  })

  test('of a real network opens, and its MIC is right', () => {
    const { payload, mic } = decryptJoinAccept(CAPTURE.cipher, CAPTURE.phyPayload)
    expect(decodeJoinAcceptPayload(payload)).toEqual(CAPTURE.accept)
    expect(computeMic(CAPTURE.cipher, joinAcceptMicMessage10(payload))).toEqual(mic)
  })

  test('of 1.1 is the published one (brocaar/lorawan, ExamplePHYPayload_lorawan11JoinAcceptSend)', () => {
    const cipher = createBlockCipher(hexToBytes('0102030405060708090a0b0c0d0e0f10'))
    const payload = encodeJoinAcceptPayload({
      joinNonce: 0x010101,
      netId: parseNetId('020202'),
      devAddr: parseDevAddr('01020304'),
      dlSettings: OPT_NEG,
      rxDelay: 0,
    })
    const message = joinAcceptMicMessage11(JOIN_REQ_TYPE_JOIN, parseJoinEui('0807060504030201'), 0x0102, payload)
    expect(bytesToHex(sealJoinAccept(cipher, cipher, message, payload))).toBe('207abeea06b02920f11c02d0348fcf1815')
  })

  test('puts JoinReqType, JoinEUI and DevNonce before what the 1.1 MIC covers (LoRaWAN 1.1 §6.2.6)', () => {
    const message = joinAcceptMicMessage11(0xff, parseJoinEui('0102030405060708'), 0x1112, Uint8Array.of(0x20, 0x21))
    expect(bytesToHex(message)).toBe('ff' + '0807060504030201' + '1211' + '2021')
  })

  test('says by the highest bit of DLSettings whether the network speaks 1.1', () => {
    expect([0x00, 0x7f, 0x80, 0xff].map(hasOptNeg)).toEqual([false, false, true, true])
  })

  test('has RFU bits beside RxDelay, which a device ignores', () => {
    const payload = encodeJoinAcceptPayload(BASELINE)
    payload[12]! |= 0xf0
    expect(decodeJoinAcceptPayload(payload)).toEqual(BASELINE)
  })
})

describe('a join-accept that is none', () => {
  test.each([0, 1, 12, 14, 17, 28, 30, 33])('has %i bytes without MIC', (size) => {
    const payload = new Uint8Array(size).fill(0x20, 0, 1)
    expect(codeThrownBy(() => decodeJoinAcceptPayload(payload))).toBe('frame_size')
  })

  test.each([0, 1, 13, 16, 18, 29, 32, 34, 49])('has %i bytes on air', (size) => {
    const phyPayload = new Uint8Array(size).fill(0x20, 0, 1)
    expect(codeThrownBy(() => decryptJoinAccept(CAPTURE.cipher, phyPayload))).toBe('frame_size')
  })

  test('has another MHDR than 20', () => {
    for (let mhdr = 0; mhdr <= 0xff; mhdr++) {
      const expected = mhdr === 0x20 ? undefined : 'frame_type'
      const payload = encodeJoinAcceptPayload(BASELINE)
      payload[0] = mhdr
      expect(codeThrownBy(() => decodeJoinAcceptPayload(payload))).toBe(expected)
      const phyPayload = CAPTURE.phyPayload.slice()
      phyPayload[0] = mhdr
      expect(codeThrownBy(() => decryptJoinAccept(CAPTURE.cipher, phyPayload))).toBe(expected)
    }
  })

  test.each<[string, Partial<JoinAccept>, Partial<JoinAccept>]>([
    ['a JoinNonce of 25 bits', { joinNonce: 0x1000000 }, { joinNonce: 0xffffff }],
    ['a negative JoinNonce', { joinNonce: -1 }, { joinNonce: 0 }],
    ['DLSettings of 9 bits', { dlSettings: 0x100 }, { dlSettings: 0xff }],
    ['an RxDelay of 16 s', { rxDelay: 16 }, { rxDelay: 15 }],
    ['a negative RxDelay', { rxDelay: -1 }, { rxDelay: 0 }],
    ['no number as RxDelay', { rxDelay: Number.NaN }, { rxDelay: 1 }],
    ['a CFList of 15 bytes', { cfList: new Uint8Array(15) }, { cfList: new Uint8Array(16) }],
    ['an empty CFList', { cfList: new Uint8Array(0) }, { cfList: new Uint8Array(16) }],
  ])('cannot be made with %s', (_, broken, valid) => {
    expect(codeThrownBy(() => encodeJoinAcceptPayload({ ...BASELINE, ...broken }))).toBe('frame_field')
    expect(codeThrownBy(() => encodeJoinAcceptPayload({ ...BASELINE, ...valid }))).toBeUndefined()
  })

  test.each([
    ['a JoinReqType of 9 bits', 0x100, 0],
    ['a DevNonce of 17 bits', 0xff, 0x10000],
  ])('has no 1.1 MIC message with %s', (_, joinReqType, devNonce) => {
    const eui = parseJoinEui('0102030405060708')
    expect(codeThrownBy(() => joinAcceptMicMessage11(joinReqType, eui, devNonce, CF_LIST))).toBe('frame_field')
    expect(codeThrownBy(() => joinAcceptMicMessage11(0xff, eui, 0xffff, CF_LIST))).toBeUndefined()
  })
})
