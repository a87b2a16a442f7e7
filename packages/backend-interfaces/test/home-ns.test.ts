import { dialectOf, encodeHomeNsAns, MessageError, parseHomeNsAns, parseHomeNsReq } from '@mortise/backend-interfaces'
import { parseNetId, parseNsId } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedMessage, bytesOf, HOME_NS_REQ, type Message, STANDARD, withMembers } from './messages.ts'

const NS_ID = { SenderNSID: '70B3D57ED0000013' }
const HOME = { hNetId: parseNetId('c00053'), hNsId: parseNsId('70b3d57ed000abcd') }

function homeNsReqWith(changes: Message) {
  const { header, members } = acceptedMessage(withMembers(HOME_NS_REQ, changes))
  return parseHomeNsReq(header, members)
}

function answered(changes: Message, outcome: Parameters<typeof encodeHomeNsAns>[1] = HOME) {
  const { header } = homeNsReqWith(changes)
  return JSON.parse(encodeHomeNsAns(header, outcome, STANDARD)) as Message
}

describe('HomeNSReq', () => {
  it('gives the sender and DevEUI', () => {
    expect(homeNsReqWith({})).toMatchObject({ netId: '000013', devEui: '57cc1544ca653648' })
  })

  it('is taken from the Packet Broker, whose NetID and NSID are zeros', () => {
    const request = homeNsReqWith({ ProtocolVersion: '1.1', SenderID: '000000', SenderNSID: '0000000000000000' })
    expect(request).toMatchObject({ netId: '000000', header: { senderNsId: '0000000000000000' } })
  })

  it.each<[string, Message]>([
    ['SenderID an AS-ID', { SenderID: 'as.test' }],
    ['DevEUI missing', { DevEUI: undefined }],
    ['DevEUI a digit short', { DevEUI: '57cc1544ca65364' }],
  ])('refuses %s as malformed', (_, changes) => {
    expect(() => homeNsReqWith(changes)).toThrow(MessageError)
    expect(() => homeNsReqWith(changes)).toThrow(expect.objectContaining({ code: 'Malformed' }))
  })
})

describe('HomeNSAns', () => {
  it('has HNetID in 1.0, and no HNSID', () => {
    expect(answered({})).toEqual({
      ProtocolVersion: '1.0',
      MessageType: 'HomeNSAns',
      SenderID: '70b3d57ed0000000',
      ReceiverID: '000013',
      TransactionID: 2397412250,
      Result: { ResultCode: 'Success' },
      HNetID: 'c00053',
    })
  })

  it('has HNSID in 1.1 where it is known', () => {
    const version = { ProtocolVersion: '1.1', ...NS_ID }
    expect(answered(version)).toMatchObject({ HNetID: 'c00053', HNSID: '70b3d57ed000abcd' })
    expect(answered(version, { hNetId: HOME.hNetId })).not.toHaveProperty('HNSID')
  })

  it('is read back as it was written', () => {
    for (const version of ['1.0', '1.1'] as const) {
      for (const name of ['standard-1.0', 'the-things-stack'] as const) {
        const { header } = homeNsReqWith({ ProtocolVersion: version, ...NS_ID })
        expect(parseHomeNsAns(bytesOf(encodeHomeNsAns(header, HOME, dialectOf(name))))).toEqual({
          protocolVersion: version,
          transactionId: 2397412250,
          resultCode: 'Success',
          hNetId: HOME.hNetId,
          hNsId: version === '1.1' ? HOME.hNsId : undefined,
        })
      }
    }
  })

  const ANSWER = {
    ...{ ProtocolVersion: '1.1', TransactionID: 42, MessageType: 'HomeNSAns', SenderID: '4242000000000000' },
    ...{ ReceiverID: '420000', ReceiverNSID: '4242420000000000', Result: { ResultCode: 'Success' } },
    ...{ HNSID: '4242424200000000', HNetID: '424200' },
  }
  const read = (changes: Message) => parseHomeNsAns(bytesOf(JSON.stringify({ ...ANSWER, ...changes })))

  it('is read with the extension of The Things Stack', () => {
    const extension = { TTSV3: { HTenantID: 'foo-tenant', HNSAddress: 'thethings.example.com' } }
    const answer = read({ VSExtension: { VendorID: 'EC656E', Object: extension } })
    expect(answer).toMatchObject({ hNetId: '424200', hNsId: '4242424200000000' })
  })

  it.each<[string, Message, string | undefined]>([
    ['no HNetID', { HNetID: undefined }, 'malformed'],
    ['HNetID of 4 bytes', { HNetID: '00000013' }, 'malformed'],
    ['HNSID of 3 bytes', { HNSID: '000013' }, 'malformed'],
    ['another message', { MessageType: 'JoinAns' }, 'unexpected_message'],
  ])('is refused with %s', (_, changes, code) => {
    expect(() => read(changes)).toThrow(expect.objectContaining({ name: 'AnswerError', code }))
    expect(read({ HNSID: '' })).toMatchObject({ hNsId: undefined })
  })

  it('gives a refusal as an answer', () => {
    const refusal = { Result: { ResultCode: 'NoRoamingAgreement' }, HNetID: undefined, HNSID: undefined }
    expect(read(refusal).resultCode).toBe('NoRoamingAgreement')
  })
})
