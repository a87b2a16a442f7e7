import { answerHeader, encodeJoinAns, parseAppSKeyReq, parseHomeNsReq, parseJoinReq } from '@mortise/backend-interfaces'
import { bytesToHex } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedBody, acceptedMessage, bytesOf, JOIN_REQ, joinReqWith, STANDARD, withMembers } from './messages.ts'
import { RECORDED } from './recorded.ts'

describe('requests recorded from ChirpStack 4.20 and The Things Stack 3.32', () => {
  it.each([
    ['ChirpStack, 1.0.3', RECORDED.chirpStack103, '1.0.3', '2948d1c897e855de', '264e6866', 0x12, 3, undefined],
    ['ChirpStack, 1.1', RECORDED.chirpStack11, '1.1.0', 'e8936586925344eb', '27eef9fa', 0x92, 3, undefined],
    ['TTS, BI 1.1, 1.0.3', RECORDED.tts103, '1.0.3', '3b0eb3ddeb27a8ad', '27dfbcc8', 0, 5, '70b3d57ed0000013'],
    ['TTS, BI 1.1, 1.1', RECORDED.tts11, '1.1.0', 'cf3ef7e11438726e', '26d1d261', 0x80, 5, '70b3d57ed0000013'],
    ['TTS, BI 1.0, 1.0.0', RECORDED.tts100, '1.0.0', '38e5e30132425df1', '2795d0be', 0, 5, undefined],
  ])('%s', (_, text, macVersion, devEui, devAddr, dlSettings, rxDelay, nsId) => {
    const { header, members } = acceptedBody(bytesOf(text))
    expect(header.senderNsId).toBe(nsId)
    const request = parseJoinReq(header, members)
    expect(request).toMatchObject({ netId: '000013', macVersion, devEui, devAddr, dlSettings, rxDelay })
    expect(bytesToHex(request.cfList!)).toBe('184f84e85684b85e84886684586e8400')
    expect(request.frame.joinEui).toBe(header.receiverId)
  })

  it('AppSKeyReq of the TTS application server, without NSID in BI 1.1', () => {
    const { header, members } = acceptedBody(bytesOf(RECORDED.ttsAppSKey))
    expect(bytesToHex(parseAppSKeyReq(header, members).sessionKeyId)).toBe('5260f8530000010001')
  })

  it('HomeNSReq of ChirpStack', () => {
    const { header, members } = acceptedBody(bytesOf(RECORDED.chirpStackHomeNs))
    expect(parseHomeNsReq(header, members)).toEqual({ header, netId: '000013', devEui: '57cc1544ca653648' })
    expect(header.transactionId).toBe(2397412250)
  })
})

describe('what peers are known to do', () => {
  it('TTS always sends TransactionID 0', () => {
    expect(answerHeader(joinReqWith({ TransactionID: 0 }).header, STANDARD).TransactionID).toBe(0)
  })

  it('TTS until November 2022 sent "CFList":"" for none', () => {
    expect(joinReqWith({ CFList: '' }).cfList).toBeUndefined()
  })

  it.each([
    ['TTS up to 3.15.1 put a NetID there in BI 1.0', '1.0', '000013'],
    ['an EUI-64 in BI 1.0', '1.0', '70B3D57ED0000013'],
    ['Helium leaves it empty in BI 1.1', '1.1', ''],
    ['a NetID in BI 1.1', '1.1', '000013'],
    ['null in BI 1.1', '1.1', null],
    ['an object in BI 1.1', '1.1', {}],
    ['absent in BI 1.1', '1.1', undefined],
  ])('SenderNSID that cannot be echoed fails nothing: %s', (_, version, nsId) => {
    const { header } = joinReqWith({ ProtocolVersion: version, SenderNSID: nsId })
    expect(header.senderNsId).toBeUndefined()
    expect(JSON.stringify(answerHeader(header, STANDARD))).not.toContain('NSID')
  })

  it('Helium prefixes SenderID with 0x, and gets it back so', () => {
    const { header, netId } = joinReqWith({ SenderID: '0xC00053' })
    expect(netId).toBe('c00053')
    expect(answerHeader(header, STANDARD).ReceiverID).toBe('0xC00053')
  })

  it.each(['1.0.2', '1.0.3', '1.1', '1.1.0'])('MACVersion %s need not agree with OptNeg or the device', (version) => {
    expect(joinReqWith({ MACVersion: version, DLSettings: '80' }).dlSettings).toBe(0x80)
    expect(joinReqWith({ MACVersion: version, DLSettings: '00' }).dlSettings).toBe(0)
  })

  it('ChirpStack v3 sends RxDelay 0', () => {
    expect(joinReqWith({ RxDelay: 0 }).rxDelay).toBe(0)
  })

  it('RxDelay may come as text', () => {
    expect(joinReqWith({ RxDelay: '5' }).rxDelay).toBe(5)
  })

  it.each([[{}], [{ VendorID: 'EC656E', Object: { a: 1 } }], [null], ['text'], [[1]]])(
    'VSExtension %j is passed over',
    (extension) => {
      expect(joinReqWith({ VSExtension: extension }).devEui).toBe('2948d1c897e855de')
    },
  )

  it('ChirpStack v4 passes the uplink of a relay as PHYPayload: a refusal, not a crash', () => {
    const uplink = '40010203042005000000e2aabbccdd00112233445566778899aabbccddeeff0011223344'
    const { header, members } = acceptedMessage(withMembers(JOIN_REQ, { PHYPayload: uplink }))
    expect(() => parseJoinReq(header, members)).toThrow(expect.objectContaining({ code: 'FrameSizeError' }))
  })

  it('ChirpStack v4 cannot read null, escapes in hex, or an incomplete key set: none is written', () => {
    const key = { kekLabel: 'ns', aesKey: new Uint8Array(24).fill(0xef) }
    const text = encodeJoinAns(
      joinReqWith({}).header,
      {
        phyPayload: new Uint8Array(33),
        networkKeys: { fNwkSIntKey: key, sNwkSIntKey: key, nwkSEncKey: key },
        lifetime: 0,
      },
      STANDARD,
    )
    expect(text).not.toMatch(/null|\\/)
    expect(Object.keys(JSON.parse(text) as object)).toEqual(
      expect.arrayContaining(['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey']),
    )
  })
})
