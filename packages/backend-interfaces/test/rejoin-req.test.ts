import { encodeJoinAns, MessageError, parseRejoinReq } from '@mortise/backend-interfaces'
import { bytesToHex } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedMessage, type Message, REJOIN_REQ, rejoinReqWith, STANDARD, withMembers } from './messages.ts'
import { FOR_APPLICATION } from './outcomes.ts'

const TYPE_1 = { PHYPayload: 'c001010203040506070808070605040302017b009ebd4b8b' }
const TYPE_2 = { PHYPayload: 'c00201020308070605040302017b00a783da0d', CFList: undefined }

function refusalOf(changes: Message): string {
  try {
    rejoinReqWith(changes)
  } catch (error) {
    if (error instanceof MessageError) return error.code
    throw error
  }
  return 'accepted'
}

describe('RejoinReq', () => {
  it('gives every member in its own type', () => {
    const request = rejoinReqWith({})
    expect(request).toMatchObject({
      netId: '030201',
      macVersion: '1.1.0',
      joinEui: '0807060504030201',
      devEui: '0102030405060708',
      devAddr: '01020304',
      dlSettings: 0xa3,
      rxDelay: 1,
      frame: { rejoinType: 0, netId: '030201', devEui: '0102030405060708', rjCount0: 123 },
    })
    expect(bytesToHex(request.phyPayload)).toBe('c00001020308070605040302017b00dad3e7ee')
    expect(bytesToHex(request.cfList!)).toBe('184f84e85684b85e8400000000000000')
  })

  it('takes type 2, which comes without CFList', () => {
    const request = rejoinReqWith(TYPE_2)
    expect(request).toMatchObject({ frame: { rejoinType: 2, rjCount0: 123 }, joinEui: '0807060504030201' })
    expect(request.cfList).toBeUndefined()
  })

  it('takes type 1, whose frame says the JoinEUI, whatever ReceiverID says', () => {
    const frame = { rejoinType: 1, joinEui: '0807060504030201', devEui: '0102030405060708', rjCount1: 123 }
    for (const ReceiverID of ['0807060504030201', '0807060504030299']) {
      expect(rejoinReqWith({ ...TYPE_1, ReceiverID })).toMatchObject({ frame, joinEui: '0807060504030201' })
    }
    expect(rejoinReqWith({ ReceiverID: '0807060504030299' }).joinEui).toBe('0807060504030299')
  })

  it.each(['1.0', '1.1'])('is taken in version %s', (ProtocolVersion) => {
    expect(rejoinReqWith({ ProtocolVersion }).header.messageType).toBe('RejoinReq')
  })

  it('is answered by a RejoinAns', () => {
    expect(JSON.parse(encodeJoinAns(rejoinReqWith({}).header, FOR_APPLICATION[1]!, STANDARD))).toMatchObject({
      MessageType: 'RejoinAns',
      Result: { ResultCode: 'Success' },
      PHYPayload: '2f'.repeat(33),
      SNwkSIntKey: { KEKLabel: 'ns-000013' },
    })
  })

  it.each<[string, Message]>([
    ['upper case and prefixes', { DevEUI: '0X0102030405060708', PHYPayload: `0x${TYPE_1.PHYPayload.toUpperCase()}` }],
    ['MACVersion in its short form', { MACVersion: '1.1' }],
    ['another MACVersion: the device record decides', { MACVersion: '1.0.2' }],
    ['RxDelay 0', { RxDelay: 0 }],
    ['CFList empty', { CFList: '' }],
    ['no VSExtension', { VSExtension: undefined }],
  ])('accepts %s', (_, changes) => {
    expect(refusalOf(changes)).toBe('accepted')
  })

  it.each<[string, Message]>([
    ['SenderID an AS-ID', { SenderID: 'as.test' }],
    ['MACVersion missing', { MACVersion: undefined }],
    ['PHYPayload missing', { PHYPayload: undefined }],
    ['PHYPayload not hex', { PHYPayload: 'x00001020308070605040302017b00dad3e7ee' }],
    ['PHYPayload of another MHDR', { PHYPayload: '000001020308070605040302017b00dad3e7ee' }],
    ['PHYPayload of rejoin type 3', { PHYPayload: 'c00301020308070605040302017b00dad3e7ee' }],
    ['DevEUI missing', { DevEUI: undefined }],
    ['DevEUI other than in the frame', { DevEUI: '0102030405060709' }],
    ['DevEUI other than in a frame of type 1', { ...TYPE_1, DevEUI: '0807060504030201' }],
    ['DevAddr missing', { DevAddr: undefined }],
    ['DLSettings missing', { DLSettings: undefined }],
    ['OptNeg not set: only LoRaWAN 1.1 rejoins', { DLSettings: '23' }],
    ['RxDelay 16', { RxDelay: 16 }],
    ['CFList of 15 bytes', { CFList: '184f84e85684b85e84000000000000' }],
  ])('refuses %s as malformed', (_, changes) => {
    expect(refusalOf(changes)).toBe('Malformed')
  })

  it.each([
    ['18 bytes', 'c00001020308070605040302017b00dad3e7'],
    ['a join-request', '00000000d07ed5b370de55e897c8d148290100bbcc0b96'],
    ['25 bytes', `${TYPE_1.PHYPayload}00`],
    ['type 0 in the size of type 1', TYPE_1.PHYPayload.replace('c001', 'c000')],
    ['type 1 in the size of type 0', 'c00101020308070605040302017b00dad3e7ee'],
  ])('refuses a PHYPayload of %s as FrameSizeError', (_, PHYPayload) => {
    expect(refusalOf({ PHYPayload })).toBe('FrameSizeError')
  })

  it('refuses an OptNeg that is not set by saying so', () => {
    const { header, members } = acceptedMessage(withMembers(REJOIN_REQ, { DLSettings: '15' }))
    expect(() => parseRejoinReq(header, members)).toThrow(/OptNeg/)
  })
})
