import {
  dialectOf,
  encodeAppSKeyAns,
  encodeFailure,
  encodeJoinAns,
  type JoinOutcome,
  parseAppSKeyReq,
  parseJoinReq,
} from '@mortise/backend-interfaces'
import { hexToBytes } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedBody, acceptedMessage, bytesOf, type Message, refusedMessage, withMembers } from '../messages.ts'
import { clearKey, FOR_APPLICATION, forNetwork, SESSION_KEY_ID_ONLY, wrappedKey } from '../outcomes.ts'
import { ttsAppSKey, ttsComplaint } from '../peer-rules.ts'
import { RECORDED } from '../recorded.ts'

const TTS = dialectOf('the-things-stack')
const REQUEST_11 = JSON.parse(RECORDED.tts103) as Message
const REQUEST_10 = JSON.parse(RECORDED.tts100) as Message

function answerOf(text: string): Message {
  return JSON.parse(text) as Message
}

function joinReqWith(changes: Message, baseline = REQUEST_11) {
  const { header, members } = acceptedMessage(withMembers(baseline, changes), TTS)
  return parseJoinReq(header, members)
}

describe('The Things Stack asks', () => {
  it.each([
    ['1.0', RECORDED.tts100, '1.0.0'],
    ['1.0.3', RECORDED.tts103, '1.0.3'],
    ['1.1', RECORDED.tts11, '1.1.0'],
  ])('with MACVersion %s, and a newline behind its upper-case message', (_, text, macVersion) => {
    const { header, members } = acceptedBody(bytesOf(text), TTS)
    expect(parseJoinReq(header, members).macVersion).toBe(macVersion)
  })

  it('with TransactionID 0 each time, which is echoed and means nothing', () => {
    const [first, second] = [joinReqWith({}), joinReqWith({ DevAddr: '27000001' })]
    expect([first.header.transactionId, second.header.transactionId]).toEqual([0, 0])
    expect(answerOf(encodeFailure(second.header, 'Other', 'x', TTS))['TransactionID']).toBe(0)
  })

  it('with OptNeg set for every device of 1.1', () => {
    const { header, members } = acceptedBody(bytesOf(RECORDED.tts11), TTS)
    expect(parseJoinReq(header, members).dlSettings).toBe(0x80)
  })

  it('before June 2019 as 1.0.2 for a device of 1.0.3: the device record decides', () => {
    expect(joinReqWith({ MACVersion: '1.0.2' }).macVersion).toBe('1.0.2')
  })

  it('until November 2022 with "CFList":"" for none', () => {
    expect(joinReqWith({ CFList: '' }).cfList).toBeUndefined()
  })

  it('up to 3.15.1 with its NetID as SenderNSID in 1.0, and gets no NSID back, because "" would not parse', () => {
    const { header } = joinReqWith({ SenderNSID: '000013' }, REQUEST_10)
    const text = encodeJoinAns(header, FOR_APPLICATION[0]!, TTS)
    expect(text).not.toContain('NSID')
    expect(ttsComplaint(text)).toBeUndefined()
  })

  it('in 1.1 with its NSID, which comes back, and also without one', () => {
    expect(answerOf(encodeJoinAns(joinReqWith({}).header, FOR_APPLICATION[0]!, TTS))).toMatchObject({
      ProtocolVersion: '1.1',
      ReceiverNSID: '70B3D57ED0000013',
    })
    expect(joinReqWith({ SenderNSID: undefined }).header.senderNsId).toBeUndefined()
  })

  it('with RxDelay as text', () => {
    expect(joinReqWith({ RxDelay: '5' }).rxDelay).toBe(5)
  })

  it('with a ReceiverID that is not the JoinEUI of the frame', () => {
    expect(joinReqWith({ ReceiverID: 'EC656E0000000000' }).frame.joinEui).toBe('70b3d57ed0000001')
  })

  it('for an AppSKey as application server, without NSID even in 1.1', () => {
    const { header, members } = acceptedBody(bytesOf(RECORDED.ttsAppSKey), TTS)
    const { devEui, sessionKeyId } = parseAppSKeyReq(header, members)
    const text = encodeAppSKeyAns(header, { devEui, sessionKeyId, appSKey: wrappedKey(1, 'as-test') })
    expect(ttsComplaint(text)).toBeUndefined()
    expect(text).not.toContain('NSID')
  })

  it('at paths that older releases append', () => {
    expect(TTS.paths).toEqual(['/', '/lbi', '/lbi_joinreq'])
  })
})

describe('The Things Stack reads', () => {
  it('one table of codes a version: FrameReplayed and MalformedMessage in 1.1, neither in 1.0', () => {
    const { header: header11 } = joinReqWith({})
    const { header: header10 } = joinReqWith({}, REQUEST_10)
    const codes = (['FrameReplayed', 'Malformed', 'UnkownReceiver'] as const).map((code) =>
      [header10, header11].map((header) => answerOf(encodeFailure(header, code, 'x', TTS))['Result']),
    )
    expect(codes).toMatchObject([
      [{ ResultCode: 'JoinReqFailed' }, { ResultCode: 'FrameReplayed' }],
      [{ ResultCode: 'MalformedRequest' }, { ResultCode: 'MalformedMessage' }],
      [{ ResultCode: 'UnkownReceiver' }, { ResultCode: 'UnkownReceiver' }],
    ])
  })

  it('the Description, which its operators see', () => {
    const { header } = joinReqWith({})
    const text = encodeFailure(header, 'UnknownDevEUI', 'This device is not known here.', TTS)
    expect(answerOf(text)['Result']).toMatchObject({ Description: 'This device is not known here.' })
  })

  it('a 1.1 answer from the three keys of 1.1, not from NwkSKey, as it did until January 2022', () => {
    const text = encodeJoinAns(joinReqWith({}).header, FOR_APPLICATION[1]!, TTS)
    expect(answerOf(text)).toMatchObject({ FNwkSIntKey: {}, SNwkSIntKey: {}, NwkSEncKey: {} })
    expect(text).not.toContain('"NwkSKey"')
  })

  it('the answer of its own documentation, member by member', () => {
    const outcome: JoinOutcome = {
      phyPayload: new Uint8Array(17).fill(0x20),
      networkKeys: { nwkSKey: wrappedKey(0xab, 'ns:42ffff') },
      appSKey: wrappedKey(0xcd, 'as:010042'),
      sessionKeyId: hexToBytes('016bfa7bad4756346a674981e75cdbdc'),
      lifetime: 0,
    }
    const request = { SenderID: '42FFFF', SenderNSID: '70B3D57ED0000001', ReceiverID: 'EC656E0000000000' }
    expect(answerOf(encodeJoinAns(joinReqWith(request).header, outcome, TTS))).toEqual({
      ProtocolVersion: '1.1',
      TransactionID: 0,
      MessageType: 'JoinAns',
      SenderID: 'EC656E0000000000',
      ReceiverID: '42FFFF',
      ReceiverNSID: '70B3D57ED0000001',
      PHYPayload: '20'.repeat(17),
      Result: { ResultCode: 'Success' },
      Lifetime: 0,
      NwkSKey: { KEKLabel: 'ns:42ffff', AESKey: 'AB'.repeat(24) },
      AppSKey: { KEKLabel: 'as:010042', AESKey: 'CD'.repeat(24) },
      SessionKeyID: '016BFA7BAD4756346A674981E75CDBDC',
    })
  })

  it('answers in the response only', () => {
    expect(TTS.asynchronous).toBe(false)
  })

  it('keys under KEKs of 128, 192 and 256 bits', () => {
    expect(TTS.kekSizes).toEqual([16, 24, 32])
  })

  it('JSON in every refusal, also of what it could not have sent', () => {
    const { header, result, description } = refusedMessage(bytesOf('<html>'), TTS)
    expect(ttsComplaint(encodeFailure(header, result, description, TTS))).toBeUndefined()
  })
})

describe('The Things Stack takes AppSKey', () => {
  const { header } = joinReqWith({})
  const source = (outcome: JoinOutcome) => ttsAppSKey(encodeJoinAns(header, outcome, TTS))

  it('of an application server wrapped, with the SessionKeyID beside it', () => {
    expect(FOR_APPLICATION.map(source)).toEqual(['wrapped', 'wrapped'])
    expect(encodeJoinAns(header, FOR_APPLICATION[0]!, TTS)).toContain('"SessionKeyID"')
  })

  it('by AppSKeyReq when it has a SessionKeyID alone', () => {
    expect(SESSION_KEY_ID_ONLY.map(source)).toEqual(['AppSKeyReq', 'AppSKeyReq'])
  })

  it('of its own wrapped under its KEK or in clear, and decrypts payloads either way', () => {
    expect(forNetwork(wrappedKey(1, 'ns:000013')).map(source)).toEqual(['wrapped', 'wrapped'])
    expect(forNetwork(clearKey(1)).map(source)).toEqual(['clear', 'clear'])
  })
})
