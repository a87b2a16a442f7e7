import {
  dialectOf,
  encodeFailure,
  encodeJoinAns,
  parseHomeNsAns,
  parseJoinAns,
  parseJoinReq,
  parseMessage,
  parseRejoinAns,
  parseResultCode,
} from '@mortise/backend-interfaces'
import { describe, expect, it } from 'vitest'
import {
  acceptedMessage,
  APP_S_KEY_REQ,
  bytesOf,
  HOME_NS_REQ,
  JOIN_REQ,
  type Message,
  REJOIN_REQ,
  refusedMessage,
  withMembers,
} from '../messages.ts'
import { FOR_APPLICATION } from '../outcomes.ts'

describe('the packet router of Helium', () => {
  const HELIUM = dialectOf('helium')
  const REQUEST = withMembers(JOIN_REQ, { ProtocolVersion: '1.1', SenderID: '0xC00053', SenderNSID: '' })

  it('says 1.1, prefixes its NetID with 0x and leaves SenderNSID empty', () => {
    const { header, members } = acceptedMessage(REQUEST, HELIUM)
    expect(parseJoinReq(header, members).netId).toBe('c00053')
    expect(header).toMatchObject({ protocolVersion: '1.1', senderId: 'c00053', senderNsId: undefined })
  })

  it('gets its SenderID back as it wrote it, and no NSID', () => {
    const { header } = acceptedMessage(REQUEST, HELIUM)
    for (const text of [
      encodeJoinAns(header, FOR_APPLICATION[0]!, HELIUM),
      encodeFailure(header, 'Other', 'x', HELIUM),
    ]) {
      expect((JSON.parse(text) as Message)['ReceiverID']).toBe('0xC00053')
      expect(text).not.toContain('NSID')
    }
  })
})

describe('a network server that follows TS002 1.1', () => {
  const STRICT = dialectOf('standard-1.1')
  const NS_ID = { ProtocolVersion: '1.1', SenderNSID: '70B3D57ED0000013' }
  const refused = (message: Readonly<Message>, changes: Message) =>
    parseMessage(bytesOf(JSON.stringify(withMembers(message, { ...NS_ID, ...changes }))), STRICT)

  it.each([
    ['JoinReq', JOIN_REQ],
    ['RejoinReq', REJOIN_REQ],
    ['HomeNSReq', HOME_NS_REQ],
  ])('names itself by its NSID in %s', (_, message) => {
    expect(acceptedMessage({ ...message, ...NS_ID }, STRICT).header.senderNsId).toBe('70b3d57ed0000013')
    for (const SenderNSID of [undefined, null, '', '000013', 'x', 0]) {
      expect(refused(message, { SenderNSID })).toMatchObject({
        result: 'Malformed',
        description: 'SenderNSID must be an NSID of 8 bytes.',
      })
    }
  })

  it('is not its application server, which has no NSID', () => {
    expect(acceptedMessage(withMembers(APP_S_KEY_REQ, { ProtocolVersion: '1.1' }), STRICT).kind).toBe('message')
  })

  it('does not fall back to 1.0, where it would have no NSID', () => {
    const { header, result, description } = refusedMessage(bytesOf(JSON.stringify(JOIN_REQ)), STRICT)
    expect(JSON.parse(encodeFailure(header, result, description, STRICT))).toMatchObject({
      ProtocolVersion: '1.1',
      Result: { ResultCode: 'InvalidProtocolVersion', Description: 'ProtocolVersion must be "1.1".' },
    })
  })

  it('may be the Packet Broker, whose NetID and NSID are zeros', () => {
    const changes = { ...NS_ID, SenderID: '000000', SenderNSID: '0000000000000000', TransactionID: 0 }
    expect(acceptedMessage(withMembers(HOME_NS_REQ, changes), STRICT).header.senderNsId).toBe('0000000000000000')
  })
})

describe('answers of other join servers are read', () => {
  // brocaar/lorawan: always 1.0, an empty VSExtension, an empty label for a key in clear, no Lifetime.
  const BROCAAR = {
    ...{ ProtocolVersion: '1.0', SenderID: '0807060504030201', ReceiverID: '010203', TransactionID: 1234 },
    ...{ MessageType: 'JoinAns', VSExtension: {}, Result: { ResultCode: 'Success', Description: '' } },
    ...{ PHYPayload: '20'.repeat(17), NwkSKey: { KEKLabel: '', AESKey: 'a1'.repeat(16) } },
    AppSKey: { KEKLabel: '', AESKey: 'a2'.repeat(16) },
  }
  const read = (changes: Message, parse: (body: Uint8Array) => unknown = parseJoinAns) =>
    parse(bytesOf(JSON.stringify({ ...BROCAAR, ...changes })))

  it('of ChirpStack v3: empty VSExtension, label and Description', () => {
    expect(read({})).toMatchObject({ resultCode: 'Success', appSKey: { aesKey: new Uint8Array(16).fill(0xa2) } })
    expect(read({ MessageType: 'RejoinAns' }, parseRejoinAns)).toMatchObject({ resultCode: 'Success' })
    expect(() => read({}, parseRejoinAns)).toThrow(expect.objectContaining({ code: 'unexpected_message' }))
  })

  it('of ChirpStack v3, which spells RoamingActDisallowed with an A behind it', () => {
    expect(parseResultCode('RoamingActDisallowedA')).toBe('RoamingActDisallowed')
    expect(parseResultCode('RoamingActDisallowedB')).toBeUndefined()
  })

  it.each([
    ['simple-join-server', 'MalformedRequest', 'Malformed'],
    ['lorawan-js, even in 1.0', 'FrameReplayed', 'FrameReplayed'],
    ['The Things Stack', 'JoinReqFailed', 'JoinReqFailed'],
    ['lorawan-js', 'MalformedMessage', 'Malformed'],
    ['who follows the prose of TS002', 'UnknownReceiver', 'UnkownReceiver'],
  ])('of %s, whatever it calls a replay: %s', (_, ResultCode, code) => {
    expect(read({ Result: { ResultCode } })).toMatchObject({ resultCode: code })
  })

  it('of ChirpStack v3, which takes a device without home for one of 000000', () => {
    const home = { MessageType: 'HomeNSAns', HNetID: '000000' }
    expect(read(home, parseHomeNsAns)).toMatchObject({ resultCode: 'Success', hNetId: '000000' })
  })

  it('with the capitals and the label of The Things Stack', () => {
    const members = { ReceiverNSID: '70B3D57ED0000001', Lifetime: 0, SessionKeyID: '016BFA7BAD475634' }
    const NwkSKey = { KEKLabel: 'ns:42ffff', AESKey: 'AB'.repeat(24) }
    expect(read({ ...members, ProtocolVersion: '1.1', NwkSKey })).toMatchObject({
      networkKeys: { nwkSKey: { kekLabel: 'ns:42ffff', aesKey: new Uint8Array(24).fill(0xab) } },
    })
  })
})
