import { bytesToHex } from '@mortise/lorawan'
import { MessageError } from '@mortise/backend-interfaces'
import { describe, expect, it } from 'vitest'
import { joinReqWith, type Message } from './messages.ts'

function refusalOf(changes: Message): string {
  try {
    joinReqWith(changes)
  } catch (error) {
    if (error instanceof MessageError) return error.code
    throw error
  }
  return 'accepted'
}

describe('JoinReq', () => {
  it('gives every member in its own type', () => {
    const request = joinReqWith({})
    expect(request).toMatchObject({
      netId: '000013',
      macVersion: '1.0.3',
      devEui: '2948d1c897e855de',
      devAddr: '264e6866',
      dlSettings: 0x12,
      rxDelay: 3,
      frame: { joinEui: '70b3d57ed0000000', devEui: '2948d1c897e855de', devNonce: 1 },
    })
    expect(bytesToHex(request.phyPayload)).toBe('00000000d07ed5b370de55e897c8d148290100bbcc0b96')
    expect(bytesToHex(request.cfList!)).toBe('184f84e85684b85e84886684586e8400')
  })

  it.each<[string, Message]>([
    ['upper case', { DevEUI: '2948D1C897E855DE', DevAddr: '264E6866' }],
    ['a prefix 0x', { DevEUI: '0x2948d1c897e855de', DevAddr: '0x264e6866', DLSettings: '0x12' }],
    [
      'a prefix 0X and upper case',
      { DevEUI: '0X2948D1C897E855DE', PHYPayload: '0X00000000D07ED5B370DE55E897C8D148290100BBCC0B96' },
    ],
    ['RxDelay as text', { RxDelay: '3' }],
    ['TransactionID as text', { TransactionID: '988596437' }],
  ])('reads %s as the same request', (_, changes) => {
    expect({ ...joinReqWith(changes), header: undefined }).toEqual({ ...joinReqWith({}), header: undefined })
  })

  it.each<[string, Message]>([
    ['absent', { CFList: undefined }],
    ['empty', { CFList: '' }],
    ['null', { CFList: null }],
  ])('has no CFList when that is %s', (_, changes) => {
    expect(joinReqWith(changes).cfList).toBeUndefined()
  })

  it.each([
    ['1.0', '1.0.0'],
    ['1.0.0', '1.0.0'],
    ['1.0.4', '1.0.4'],
    ['1.1', '1.1.0'],
    ['1.1.0', '1.1.0'],
  ])('reads MACVersion %s as %s', (text, version) => {
    expect(joinReqWith({ MACVersion: text }).macVersion).toBe(version)
  })

  it.each(['1.0.5', '1.2', 'latest'])('accepts MACVersion %s as unknown: the device record decides', (text) => {
    expect(joinReqWith({ MACVersion: text }).macVersion).toBeUndefined()
  })

  it.each([0, 1, 15, '0', '15'])('accepts RxDelay %j', (rxDelay) => {
    expect(joinReqWith({ RxDelay: rxDelay }).rxDelay).toBe(Number(rxDelay))
  })

  it.each(['00', '80', 'ff', 'FF'])('accepts DLSettings %s', (text) => {
    expect(joinReqWith({ DLSettings: text }).dlSettings).toBe(Number.parseInt(text, 16))
  })

  it('accepts a ReceiverID that differs from the JoinEUI in the frame, as a visited network may send it', () => {
    const { header, frame } = joinReqWith({ ReceiverID: 'EC656E0000000000' })
    expect(header.receiverId).toBe('ec656e0000000000')
    expect(frame.joinEui).toBe('70b3d57ed0000000')
  })

  it.each<[string, Message]>([
    ['SenderID an AS-ID', { SenderID: 'as.test' }],
    ['SenderID a digit short', { SenderID: '00013' }],
    ['MACVersion missing', { MACVersion: undefined }],
    ['MACVersion empty', { MACVersion: '' }],
    ['MACVersion a number', { MACVersion: 1.1 }],
    ['PHYPayload missing', { PHYPayload: undefined }],
    ['PHYPayload empty', { PHYPayload: '' }],
    ['PHYPayload null', { PHYPayload: null }],
    ['PHYPayload not hex', { PHYPayload: 'Q0000000d07ed5b370de55e897c8d148290100bbcc0b96' }],
    ['PHYPayload an object', { PHYPayload: {} }],
    ['PHYPayload an uplink', { PHYPayload: '40000000d07ed5b370de55e897c8d148290100bbcc0b96' }],
    ['PHYPayload of another Major', { PHYPayload: '01000000d07ed5b370de55e897c8d148290100bbcc0b96' }],
    ['PHYPayload a rejoin-request', { PHYPayload: 'c0000000d07ed5b370de55e897c8d148290100bbcc0b96' }],
    ['DevEUI missing', { DevEUI: undefined }],
    ['DevEUI empty', { DevEUI: '' }],
    ['DevEUI a digit short', { DevEUI: '2948d1c897e855d' }],
    ['DevEUI not hex', { DevEUI: '2948d1c897e855dx' }],
    ['DevEUI a number', { DevEUI: 2948 }],
    ['DevEUI twice prefixed', { DevEUI: '0x0x2948d1c897e855de' }],
    ['DevEUI other than in the frame', { DevEUI: '2948d1c897e855df' }],
    ['DevEUI in the byte order of the frame', { DevEUI: 'de55e897c8d14829' }],
    ['DevAddr missing', { DevAddr: undefined }],
    ['DevAddr empty', { DevAddr: '' }],
    ['DevAddr a digit short', { DevAddr: '264e686' }],
    ['DevAddr with a blank', { DevAddr: '264e686 ' }],
    ['DLSettings missing', { DLSettings: undefined }],
    ['DLSettings one digit', { DLSettings: '1' }],
    ['DLSettings two bytes', { DLSettings: '1212' }],
    ['DLSettings a number', { DLSettings: 12 }],
    ['RxDelay missing', { RxDelay: undefined }],
    ['RxDelay null', { RxDelay: null }],
    ['RxDelay empty', { RxDelay: '' }],
    ['RxDelay 16', { RxDelay: 16 }],
    ['RxDelay "16"', { RxDelay: '16' }],
    ['RxDelay 66', { RxDelay: 66 }],
    ['RxDelay negative', { RxDelay: -1 }],
    ['RxDelay fractional', { RxDelay: 1.5 }],
    ['RxDelay true', { RxDelay: true }],
    ['RxDelay text that is no number', { RxDelay: 'three' }],
    ['CFList of 15 bytes', { CFList: '184f84e85684b85e84886684586e84' }],
    ['CFList of 17 bytes', { CFList: '184f84e85684b85e84886684586e840000' }],
    ['CFList not hex', { CFList: '184f84e85684b85e84886684586e84zz' }],
    ['CFList an array', { CFList: [1, 2] }],
  ])('refuses %s as malformed', (_, changes) => {
    expect(refusalOf(changes)).toBe('Malformed')
  })

  it.each([
    ['22 bytes', '00000000d07ed5b370de55e897c8d148290100bbcc0b'],
    ['24 bytes', '00000000d07ed5b370de55e897c8d148290100bbcc0b9600'],
    ['an odd number of digits', '00000000d07ed5b370de55e897c8d148290100bbcc0b9'],
    ['a rejoin-request of type 0', 'c00003020108070605040302017b0000000000'],
    ['4 bytes', '01020304'],
  ])('refuses a PHYPayload of %s as FrameSizeError', (_, phyPayload) => {
    expect(refusalOf({ PHYPayload: phyPayload })).toBe('FrameSizeError')
  })

  it('says in the description which member is wrong, and nothing of its value', () => {
    expect(() => joinReqWith({ DevAddr: 'secret' })).toThrow(
      expect.objectContaining({ name: 'MessageError', description: 'DevAddr must be hex of 4 bytes.' }),
    )
  })
})
