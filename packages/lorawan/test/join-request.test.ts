import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  computeMic,
  decodeJoinRequest,
  encodeJoinRequest,
  encodeJoinRequestWithoutMic,
  hexToBytes,
  joinRequestMicMessage,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, hexOf, joinRequest, key } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

// A device's join in EU868, captured and published with its key: anthonykirby/lora-packet issue 10.
const APP_KEY = hexToBytes('b6b53f4a168a7a88bdf7ea135ce9cfca')
const PUBLISHED = hexToBytes('00dc0000d07ed5b3701e6fedf57ceeaf0085cc587fe913')

describe('a join-request', () => {
  test('comes back from its own encoding', () => {
    fc.assert(
      fc.property(joinRequest, (request) => {
        const phyPayload = encodeJoinRequest(request, request.mic)
        expect(phyPayload).toHaveLength(23)
        expect(decodeJoinRequest(phyPayload)).toEqual(request)
        expect(joinRequestMicMessage(phyPayload)).toEqual(encodeJoinRequestWithoutMic(request))
      }),
    )
  })

  test('is read, and its MIC computed, as lora-packet does it', () => {
    fc.assert(
      fc.property(joinRequest, key, (request, appKey) => {
        const theirs = loraPacket.fromFields(
          {
            AppEUI: Buffer.from(request.joinEui, 'hex'),
            DevEUI: Buffer.from(request.devEui, 'hex'),
            DevNonce: bigEndian(2, request.devNonce),
          },
          undefined,
          undefined,
          buffer(appKey),
        )
        const message = encodeJoinRequestWithoutMic(request)
        const ours = encodeJoinRequest(request, computeMic(createBlockCipher(appKey), message))
        expect(bytesToHex(ours)).toBe(hexOf(theirs.PHYPayload))
      }),
    )
  })

  test('of a real device is read and its MIC is right', () => {
    const request = decodeJoinRequest(PUBLISHED)
    expect(request).toEqual({
      joinEui: '70b3d57ed00000dc',
      devEui: '00afee7cf5ed6f1e',
      devNonce: 0xcc85,
      mic: hexToBytes('587fe913'),
    })
    expect(computeMic(createBlockCipher(APP_KEY), joinRequestMicMessage(PUBLISHED))).toEqual(request.mic)
  })

  test('has its fields little-endian, in the order of LoRaWAN 1.0.3 §6.2.4', () => {
    const request = decodeJoinRequest(hexToBytes('00' + '0807060504030201' + '1817161514131211' + '2221' + 'a1a2a3a4'))
    expect(request).toEqual({
      joinEui: '0102030405060708',
      devEui: '1112131415161718',
      devNonce: 0x2122,
      mic: hexToBytes('a1a2a3a4'),
    })
  })

  test.each([0, 1, 22, 24, 33])('of %i bytes is refused', (size) => {
    expect(codeThrownBy(() => decodeJoinRequest(new Uint8Array(size)))).toBe('frame_size')
    expect(codeThrownBy(() => joinRequestMicMessage(new Uint8Array(size)))).toBe('frame_size')
  })

  test('has MHDR 00 and no other', () => {
    for (let mhdr = 0; mhdr <= 0xff; mhdr++) {
      const phyPayload = PUBLISHED.slice()
      phyPayload[0] = mhdr
      expect(codeThrownBy(() => decodeJoinRequest(phyPayload))).toBe(mhdr === 0 ? undefined : 'frame_type')
    }
  })

  test('keeps a MIC of its own when the received bytes are used again', () => {
    const received = Buffer.from(PUBLISHED)
    const request = decodeJoinRequest(received)
    const mic = bytesToHex(request.mic)
    received.fill(0xff)
    expect(bytesToHex(request.mic)).toBe(mic)
  })

  test.each([-1, 0x10000, 1.5, Number.NaN])('cannot carry the DevNonce %d', (devNonce) => {
    const request = decodeJoinRequest(PUBLISHED)
    expect(codeThrownBy(() => encodeJoinRequest({ ...request, devNonce }, request.mic))).toBe('frame_field')
    expect(codeThrownBy(() => encodeJoinRequest({ ...request, devNonce: 0xffff }, request.mic))).toBeUndefined()
  })

  test.each([0, 3, 5, 16])('cannot carry a MIC of %i bytes', (size) => {
    expect(codeThrownBy(() => encodeJoinRequest(decodeJoinRequest(PUBLISHED), new Uint8Array(size)))).toBe(
      'frame_field',
    )
  })
})
