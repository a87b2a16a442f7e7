import { createCipheriv, createDecipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  computeMic,
  decodeJoinAcceptPayload,
  decodeRejoinRequest,
  decryptJoinAccept,
  encodeRejoinRequest,
  encodeRejoinRequestWithoutMic,
  hexToBytes,
  joinAcceptMicMessage11,
  jsKeyBlock,
  KEY_TYPE,
  MAX_RJ_COUNT,
  OPT_NEG,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  rejoinCount,
  type RejoinRequest,
  type RejoinRequestFields,
  rejoinRequestMicMessage,
  sessionKeyBlock11,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, hexOf, joinAccept, key, rejoinRequest } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

const ROWS: { name: string; wire: string; expected: RejoinRequest }[] = [
  ...([0, 2] as const).map((rejoinType) => ({
    name: `of type ${rejoinType}`,
    wire: `c00${rejoinType}` + '030201' + '1817161514131211' + '2221' + 'a1a2a3a4',
    expected: {
      rejoinType,
      netId: parseNetId('010203'),
      devEui: parseDevEui('1112131415161718'),
      rjCount0: 0x2122,
      mic: hexToBytes('a1a2a3a4'),
    },
  })),
  {
    name: 'of type 1',
    wire: 'c001' + '0807060504030201' + '1817161514131211' + '2221' + 'a1a2a3a4',
    expected: {
      rejoinType: 1,
      joinEui: parseJoinEui('0102030405060708'),
      devEui: parseDevEui('1112131415161718'),
      rjCount1: 0x2122,
      mic: hexToBytes('a1a2a3a4'),
    },
  },
]

/** RFC 4493 over node:crypto alone, for messages that are not a multiple of 16 bytes, as no rejoin-request is. */
function oracleMic(micKey: Uint8Array, message: Uint8Array): string {
  const aes = (block: Buffer) => createCipheriv('aes-128-ecb', micKey, null).setAutoPadding(false).update(block)
  const doubled = (value: bigint) => ((value << 1n) & ((1n << 128n) - 1n)) ^ (value >> 127n === 1n ? 0x87n : 0n)
  const k2 = doubled(doubled(BigInt(`0x${aes(Buffer.alloc(16)).toString('hex')}`)))
  const padded = Buffer.alloc(16 * Math.ceil(message.length / 16))
  padded.set(message)
  padded[message.length] = 0x80
  Buffer.from(k2.toString(16).padStart(32, '0'), 'hex').forEach((byte, index) => {
    const at = padded.length - 16 + index
    padded[at] = (padded[at] ?? 0) ^ byte
  })
  const cbc = createCipheriv('aes-128-cbc', micKey, Buffer.alloc(16)).setAutoPadding(false).update(padded)
  return cbc.subarray(-16, -12).toString('hex')
}

describe('a rejoin-request', () => {
  test('comes back from its own encoding', () => {
    fc.assert(
      fc.property(rejoinRequest, (request) => {
        const phyPayload = encodeRejoinRequest(request, request.mic)
        expect(phyPayload).toHaveLength(request.rejoinType === 1 ? 24 : 19)
        expect(decodeRejoinRequest(phyPayload)).toEqual(request)
        expect(rejoinRequestMicMessage(phyPayload)).toEqual(encodeRejoinRequestWithoutMic(request))
      }),
    )
  })

  test.each(ROWS)('$name has its fields little-endian, in the order of LoRaWAN 1.1 §6.2.4', ({ wire, expected }) => {
    expect(decodeRejoinRequest(hexToBytes(wire))).toEqual(expected)
    expect(bytesToHex(encodeRejoinRequest(expected, expected.mic))).toBe(wire)
    expect(rejoinCount(expected)).toBe(0x2122)
  })

  test('is read by lora-packet as by us', () => {
    fc.assert(
      fc.property(rejoinRequest, (request) => {
        const theirs = loraPacket.fromWire(buffer(encodeRejoinRequest(request, request.mic)))
        expect(theirs.isRejoinRequestMessage()).toBe(true)
        expect(hexOf(theirs.RejoinType)).toBe(`0${request.rejoinType}`)
        expect(hexOf(theirs.DevEUI)).toBe(request.devEui)
        expect(hexOf(theirs.MIC)).toBe(bytesToHex(request.mic))
        if (request.rejoinType === 1) expect(hexOf(theirs.JoinEUI)).toBe(request.joinEui)
        else expect(hexOf(theirs.NetID)).toBe(request.netId)
      }),
    )
  })

  test('has its MIC over all before it: as lora-packet and as RFC 4493 over node:crypto', () => {
    fc.assert(
      fc.property(rejoinRequest, key, (request, micKey) => {
        const phyPayload = encodeRejoinRequest(request, request.mic)
        const ours = hexOf(computeMic(createBlockCipher(micKey), rejoinRequestMicMessage(phyPayload)))
        const theirs = loraPacket.fromWire(buffer(phyPayload))
        const keys = request.rejoinType === 1 ? ([undefined, buffer(micKey)] as const) : ([buffer(micKey)] as const)
        expect(ours).toBe(hexOf(loraPacket.calculateMIC(theirs, keys[1] === undefined ? keys[0] : undefined, keys[1])))
        expect(ours).toBe(oracleMic(micKey, phyPayload.subarray(0, -4)))
      }),
    )
  })

  test.each([
    ['c00003020108070605040302010201', '11da47bd'],
    ['c001080706050403020108070605040302010201', '67f9abe7'],
    ['c00203020108070605040302010201', '2b459cf0'],
  ])('%s has the published MIC (TheThingsNetwork/lorawan-stack, join_messages_test.go)', (message, mic) => {
    const cipher = createBlockCipher(new Uint8Array(16).fill(1))
    const phyPayload = hexToBytes(`${message}${mic}`)
    expect(bytesToHex(computeMic(cipher, rejoinRequestMicMessage(phyPayload)))).toBe(mic)
    expect(bytesToHex(decodeRejoinRequest(phyPayload).mic)).toBe(mic)
  })

  test('keeps a MIC of its own when the received bytes are used again', () => {
    const received = Buffer.from('c00003020108070605040302017b00a1a2a3a4', 'hex')
    const request = decodeRejoinRequest(received)
    received.fill(0xff)
    expect(bytesToHex(request.mic)).toBe('a1a2a3a4')
  })
})

describe('a rejoin-request that is none', () => {
  test.each([0, 1, 2, 18, 20, 23, 25, 33])('has %i bytes', (size) => {
    const phyPayload = new Uint8Array(size).fill(0xc0, 0, 1)
    expect(codeThrownBy(() => decodeRejoinRequest(phyPayload))).toBe('frame_size')
    expect(codeThrownBy(() => rejoinRequestMicMessage(phyPayload))).toBe('frame_size')
  })

  test.each(ROWS)('$name has the size of the other type', ({ wire, expected }) => {
    const other = hexToBytes(wire)
    other[1] = expected.rejoinType === 1 ? 0 : 1
    expect(codeThrownBy(() => decodeRejoinRequest(other))).toBe('frame_size')
  })

  test.each(ROWS)('$name has another MHDR than C0, or a type above 2', ({ wire, expected }) => {
    for (let byte = 0; byte <= 0xff; byte++) {
      const otherMhdr = hexToBytes(wire)
      otherMhdr[0] = byte
      expect(codeThrownBy(() => decodeRejoinRequest(otherMhdr))).toBe(byte === 0xc0 ? undefined : 'frame_type')
      if (byte < 3) continue
      const otherType = hexToBytes(wire)
      otherType[1] = byte
      expect(codeThrownBy(() => decodeRejoinRequest(otherType))).toBe('frame_type')
    }
    expect(decodeRejoinRequest(hexToBytes(wire))).toEqual(expected)
  })

  test.each([-1, 0x10000, 1.5, Number.NaN])('cannot be made with the counter %d', (count) => {
    for (const { expected } of ROWS) {
      const withCount = (value: number): RejoinRequestFields =>
        expected.rejoinType === 1 ? { ...expected, rjCount1: value } : { ...expected, rjCount0: value }
      expect(codeThrownBy(() => encodeRejoinRequest(withCount(count), expected.mic))).toBe('frame_field')
      expect(codeThrownBy(() => encodeRejoinRequest(withCount(MAX_RJ_COUNT), expected.mic))).toBeUndefined()
    }
  })

  test.each([0, 3, 5, 16])('cannot be made with a MIC of %i bytes', (size) => {
    for (const { expected } of ROWS) {
      expect(codeThrownBy(() => encodeRejoinRequest(expected, new Uint8Array(size)))).toBe('frame_field')
    }
  })
})

describe('the join-accept that answers a rejoin-request (LoRaWAN 1.1 §6.2.3, §6.2.4)', () => {
  test('opens under JSEncKey, has JoinReqType and RJcount in its MIC, and RJcount in every session key', () => {
    const accept11 = joinAccept.map((accept) => ({ ...accept, dlSettings: accept.dlSettings | OPT_NEG }))
    fc.assert(
      fc.property(accept11, rejoinRequest, key, key, (accept, request, nwkKey, appKey) => {
        const joinEui = request.rejoinType === 1 ? request.joinEui : parseJoinEui('0102030405060708')
        const count = bigEndian(2, rejoinCount(request))
        const js = loraPacket.generateJSKeys(buffer(nwkKey), Buffer.from(request.devEui, 'hex'))
        const clear = Buffer.concat([
          Buffer.of(0x20),
          bigEndian(3, accept.joinNonce).reverse(),
          Buffer.from(accept.netId, 'hex').reverse(),
          Buffer.from(accept.devAddr, 'hex').reverse(),
          Buffer.of(accept.dlSettings, accept.rxDelay),
          accept.cfList ?? Buffer.alloc(0),
        ])
        const packet = loraPacket.fromWire(Buffer.concat([clear, Buffer.alloc(4)]))
        packet.JoinReqType = Buffer.of(request.rejoinType)
        packet.JoinEUI = Buffer.from(joinEui, 'hex')
        packet.DevNonce = count
        const mic = loraPacket.calculateMIC(packet, js.JSIntKey)
        const aes = createDecipheriv('aes-128-ecb', js.JSEncKey, null).setAutoPadding(false)
        const phyPayload = Buffer.concat([clear.subarray(0, 1), aes.update(Buffer.concat([clear.subarray(1), mic]))])

        const jsKey = (type: 5 | 6) => createBlockCipher(nwkKey).encryptBlock(jsKeyBlock(type, request.devEui))
        const opened = decryptJoinAccept(createBlockCipher(jsKey(KEY_TYPE.jsEncKey)), phyPayload)
        expect(decodeJoinAcceptPayload(opened.payload)).toEqual(accept)
        const message = joinAcceptMicMessage11(request.rejoinType, joinEui, rejoinCount(request), opened.payload)
        expect(computeMic(createBlockCipher(jsKey(KEY_TYPE.jsIntKey)), message)).toEqual(opened.mic)

        const theirs = loraPacket.generateSessionKeys11(
          buffer(appKey),
          buffer(nwkKey),
          Buffer.from(joinEui, 'hex'),
          bigEndian(3, accept.joinNonce),
          count,
        )
        const derive = (root: Uint8Array, type: 1 | 2 | 3 | 4) =>
          hexOf(
            createBlockCipher(root).encryptBlock(
              sessionKeyBlock11(type, accept.joinNonce, joinEui, rejoinCount(request)),
            ),
          )
        expect(derive(nwkKey, KEY_TYPE.fNwkSIntKey)).toBe(hexOf(theirs.FNwkSIntKey))
        expect(derive(nwkKey, KEY_TYPE.sNwkSIntKey)).toBe(hexOf(theirs.SNwkSIntKey))
        expect(derive(nwkKey, KEY_TYPE.nwkSEncKey)).toBe(hexOf(theirs.NwkSEncKey))
        expect(derive(appKey, KEY_TYPE.appSKey)).toBe(hexOf(theirs.AppSKey))
      }),
    )
  })
})
