import {
  DIALECT_NAMES,
  dialectOf,
  encodeAppSKeyReq,
  encodeHomeNsReq,
  encodeJoinReq,
  encodeRejoinReq,
  type JoinReqToSend,
  parseHomeNsReq,
  parseJoinReq,
  parseRejoinReq,
} from '@mortise/backend-interfaces'
import { hexToBytes, parseDevAddr, parseDevEui, parseJoinEui, parseNetId, parseNsId } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedBody, bytesOf, type Message } from './messages.ts'
import { RECORDED } from './recorded.ts'

const CHIRPSTACK = dialectOf('chirpstack-4').asks
const TTS = dialectOf('the-things-stack').asks

/** What a recorded JoinReq said, to be said again. */
function toSend(text: string): { request: JoinReqToSend; transactionId: number } {
  const { header, members } = acceptedBody(bytesOf(text))
  const { netId, phyPayload, devEui, devAddr, dlSettings, rxDelay, cfList, macVersion } = parseJoinReq(header, members)
  const { protocolVersion, receiverId, senderNsId, transactionId } = header
  const ids = { protocolVersion, senderId: netId, receiverId, senderNsId, devEui, devAddr }
  return { request: { ...ids, macVersion: macVersion ?? '', phyPayload, dlSettings, rxDelay, cfList }, transactionId }
}

describe('who plays a network server writes what was recorded of it, character by character', () => {
  it.each([
    ['ChirpStack, 1.0.3', RECORDED.chirpStack103, CHIRPSTACK],
    ['ChirpStack, 1.1', RECORDED.chirpStack11, CHIRPSTACK],
    ['The Things Stack, BI 1.1, 1.0.3', RECORDED.tts103, TTS],
    ['The Things Stack, BI 1.1, 1.1', RECORDED.tts11, TTS],
    ['The Things Stack, BI 1.0, 1.0.0', RECORDED.tts100, TTS],
  ])('JoinReq of %s', (_, recorded, style) => {
    const { request, transactionId } = toSend(recorded)
    expect(encodeJoinReq(request, transactionId, style)).toBe(recorded)
  })

  it('HomeNSReq of ChirpStack', () => {
    const request = { protocolVersion: '1.0', senderId: parseNetId('000013') } as const
    const receiverId = parseJoinEui('70b3d57ed0000000')
    const devEui = parseDevEui('57cc1544ca653648')
    const senderNsId = parseNsId('70b3d57ed0000013')
    expect(encodeHomeNsReq({ ...request, receiverId, devEui, senderNsId }, 2397412250, CHIRPSTACK)).toBe(
      RECORDED.chirpStackHomeNs,
    )
  })

  it('AppSKeyReq of The Things Stack', () => {
    const request = {
      protocolVersion: '1.1',
      senderId: 'as.test',
      sessionKeyId: hexToBytes('5260f8530000010001'),
    } as const
    const receiverId = parseJoinEui('70b3d57ed0000000')
    const devEui = parseDevEui('a289e3ce5260f853')
    expect(encodeAppSKeyReq({ ...request, receiverId, devEui }, 0, TTS)).toBe(RECORDED.ttsAppSKey)
  })
})

const REQUEST: JoinReqToSend = {
  protocolVersion: '1.1',
  senderId: parseNetId('c00053'),
  senderNsId: parseNsId('70b3d57ed0000abc'),
  receiverId: parseJoinEui('0807060504030201'),
  macVersion: '1.1.0',
  phyPayload: hexToBytes('c001010203040506070808070605040302017b009ebd4b8b'),
  devEui: parseDevEui('0102030405060708'),
  devAddr: parseDevAddr('2600abcd'),
  dlSettings: 0x95,
  rxDelay: 1,
}

describe('a request', () => {
  it.each(DIALECT_NAMES)('in the style of %s says the same as in any other', (name) => {
    const text = encodeRejoinReq(REQUEST, 7, dialectOf(name).asks)
    const { header, members } = acceptedBody(bytesOf(text))
    const { protocolVersion, senderId, senderNsId, receiverId, cfList, ...said } = REQUEST
    expect(parseRejoinReq(header, members)).toMatchObject({ ...said, netId: senderId, macVersion: '1.1.0' })
    expect(header).toMatchObject({ protocolVersion, senderId, receiverId, transactionId: 7, messageType: 'RejoinReq' })
    expect(cfList).toBeUndefined()
    const namesItself = ['standard-1.0', 'standard-1.1', 'the-things-stack'].includes(name)
    expect(header.senderNsId).toBe(namesItself ? senderNsId : undefined)
  })

  it.each([
    ['chirpstack-3', { VSExtension: {}, SenderID: 'c00053', MACVersion: '1.1.0', DevAddr: '2600abcd' }],
    ['helium', { SenderNSID: '', SenderID: '0xC00053', MACVersion: '1.1.0', DevAddr: '2600ABCD' }],
    ['the-things-stack', { SenderNSID: '70B3D57ED0000ABC', SenderID: 'C00053', MACVersion: '1.1' }],
    ['standard-1.1', { SenderNSID: '70b3d57ed0000abc', SenderID: 'c00053', MACVersion: '1.1.0' }],
  ] as const)('in the style of %s has its spelling', (name, members) => {
    expect(JSON.parse(encodeJoinReq(REQUEST, 7, dialectOf(name).asks))).toMatchObject(members)
  })

  it('has no NSID in version 1.0, in no style', () => {
    for (const name of DIALECT_NAMES) {
      const text = encodeJoinReq({ ...REQUEST, protocolVersion: '1.0' }, 7, dialectOf(name).asks)
      expect(JSON.parse(text) as Message).not.toHaveProperty('SenderNSID')
    }
  })

  it('for the home of a device is read back', () => {
    const { header, members } = acceptedBody(bytesOf(encodeHomeNsReq(REQUEST, 7)))
    expect(parseHomeNsReq(header, members)).toEqual({ header, netId: 'c00053', devEui: '0102030405060708' })
  })
})
