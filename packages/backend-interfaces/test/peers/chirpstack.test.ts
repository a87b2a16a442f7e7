import {
  dialectOf,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  MessageError,
  parseHomeNsReq,
  parseJoinReq,
  parseRejoinReq,
} from '@mortise/backend-interfaces'
import { bytesToHex, parseNetId, parseNsId } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import {
  acceptedBody,
  acceptedMessage,
  bytesOf,
  JOIN_REQ,
  type Message,
  refusedMessage,
  withMembers,
} from '../messages.ts'
import { clearKey, FOR_APPLICATION, forNetwork, SESSION_KEY_ID_ONLY, wrappedKey } from '../outcomes.ts'
import { chirpStackComplaint, chirpStackPayloads } from '../peer-rules.ts'
import { RECORDED } from '../recorded.ts'

const V4 = dialectOf('chirpstack-4')
const V3 = dialectOf('chirpstack-3')

function answerOf(text: string): Message {
  return JSON.parse(text) as Message
}

describe('ChirpStack v4 asks', () => {
  it.each([
    ['1.0.3', RECORDED.chirpStack103],
    ['1.1.0', RECORDED.chirpStack11],
  ])('with MACVersion %s in three parts', (macVersion, text) => {
    const { header, members } = acceptedBody(bytesOf(text), V4)
    expect(parseJoinReq(header, members).macVersion).toBe(macVersion)
  })

  it('with a TransactionID above 2^31, and gets it back', () => {
    const { header } = acceptedMessage(withMembers(JOIN_REQ, { TransactionID: 4294967295 }), V4)
    expect(answerOf(encodeFailure(header, 'Other', 'x', V4))['TransactionID']).toBe(4294967295)
  })

  it('without CFList where the region has no further channels', () => {
    const { header, members } = acceptedMessage(withMembers(JOIN_REQ, { CFList: undefined }), V4)
    expect(parseJoinReq(header, members).cfList).toBeUndefined()
  })

  it('again with the same frame after 1.3 s, under another TransactionID and DevAddr', () => {
    const [first, second] = [{}, { TransactionID: 7, DevAddr: '26000001' }].map((changes) => {
      const { header, members } = acceptedMessage(withMembers(JOIN_REQ, changes), V4)
      return parseJoinReq(header, members)
    })
    expect(second?.phyPayload).toEqual(first?.phyPayload)
    expect(second?.devAddr).not.toBe(first?.devAddr)
  })

  it('in 1.0 only: what says 1.1 is another server, and is refused in 1.0', () => {
    const body = bytesOf(JSON.stringify(withMembers(JOIN_REQ, { ProtocolVersion: '1.1' })))
    const { header, result, description } = refusedMessage(body, V4)
    expect(answerOf(encodeFailure(header, result, description, V4))).toMatchObject({
      ProtocolVersion: '1.0',
      Result: { ResultCode: 'InvalidProtocolVersion', Description: 'ProtocolVersion must be "1.0".' },
    })
  })

  it('with the uplink of a relay as PHYPayload, and is refused by a code that it reads', () => {
    const uplink = '40010203042005000000e2aabbccdd00112233445566778899aabbccddeeff0011223344'
    const { header, members } = acceptedMessage(withMembers(JOIN_REQ, { PHYPayload: uplink }), V4)
    let refusal: unknown
    try {
      parseJoinReq(header, members)
    } catch (error) {
      refusal = error
    }
    expect(refusal).toBeInstanceOf(MessageError)
    const { code, description } = refusal as MessageError
    expect(chirpStackComplaint(encodeFailure(header, code, description, V4))).toBeUndefined()
  })

  it('HomeNSReq for devices that it does not know, and reads HNetID alone', () => {
    const { header, members } = acceptedBody(bytesOf(RECORDED.chirpStackHomeNs), V4)
    const { devEui } = parseHomeNsReq(header, members)
    expect(devEui).toBe('57cc1544ca653648')
    const home = { hNetId: parseNetId('c00053'), hNsId: parseNsId('70b3d57ed000abcd') }
    const text = encodeHomeNsAns(header, home, V4)
    expect(answerOf(text)).toMatchObject({ MessageType: 'HomeNSAns', HNetID: 'c00053' })
    expect(text).not.toContain('NSID')
  })

  it('what is not JSON, or without MessageType, and still reads the code of the answer', () => {
    for (const text of ['', '<html>', '[]', '{}', '{"SenderID":"000013"}']) {
      const { header, result, description } = refusedMessage(bytesOf(text), V4)
      const answer = encodeFailure(header, result, description, V4)
      expect(answerOf(answer)).toMatchObject({ Result: { ResultCode: 'MalformedRequest' } })
      expect(chirpStackComplaint(answer)).toBeUndefined()
    }
  })
})

describe('ChirpStack v4 reads', () => {
  const { header } = acceptedMessage(JOIN_REQ, V4)

  it('result codes as a closed enumeration: a replay is JoinReqFailed, a malformed message MalformedRequest', () => {
    const codeOf = (code: 'FrameReplayed' | 'Malformed' | 'NoAction') =>
      answerOf(encodeFailure(header, code, 'x', V4))['Result']
    expect(codeOf('FrameReplayed')).toMatchObject({ ResultCode: 'JoinReqFailed' })
    expect(codeOf('Malformed')).toMatchObject({ ResultCode: 'MalformedRequest' })
    expect(codeOf('NoAction')).toMatchObject({ ResultCode: 'Other' })
  })

  it('no null, no escape inside hexadecimal, no duplicate member, nothing after the object', () => {
    for (const outcome of [...FOR_APPLICATION, ...SESSION_KEY_ID_ONLY, ...forNetwork(clearKey(1))]) {
      const text = encodeJoinAns(header, outcome, V4)
      expect(text).not.toMatch(/null|\\|\s$/)
      expect(chirpStackComplaint(text)).toBeUndefined()
    }
  })

  it('a key set that is complete: NwkSKey for 1.0, the three keys for 1.1, never both', () => {
    const keysOf = (outcome: (typeof FOR_APPLICATION)[number]) =>
      Object.keys(answerOf(encodeJoinAns(header, outcome, V4))).filter((name) => /Nwk/.test(name))
    expect(FOR_APPLICATION.map(keysOf)).toEqual([['NwkSKey'], ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey']])
  })

  it('a SessionKeyID of whole bytes, and a Lifetime that is a number', () => {
    const answer = answerOf(encodeJoinAns(header, FOR_APPLICATION[0]!, V4))
    expect(answer['SessionKeyID']).toMatch(/^(?:[0-9a-f]{2})+$/)
    expect(answer['Lifetime']).toBe(0)
  })

  it('KEKs of 128 bits', () => {
    expect(V4.kekSizes).toEqual([16])
  })

  it('no NSID', () => {
    expect(
      encodeJoinAns({ ...header, senderNsId: parseNsId('70b3d57ed0000013') }, FOR_APPLICATION[0]!, V4),
    ).not.toContain('NSID')
  })

  it('an asynchronous answer by TransactionID, from a SenderID that is a JoinEUI of 8 bytes', () => {
    expect(V4.asynchronous).toBe(true)
    const answer = answerOf(encodeJoinAns(header, FOR_APPLICATION[0]!, V4))
    expect(answer).toMatchObject({ SenderID: '70b3d57ed0000000', TransactionID: 988596437 })
  })
})

describe('ChirpStack v4 takes AppSKey', () => {
  const { header } = acceptedMessage(JOIN_REQ, V4)
  const payloads = (outcome: (typeof FOR_APPLICATION)[number]) => chirpStackPayloads(encodeJoinAns(header, outcome, V4))

  it('of another application server wrapped and with SessionKeyID, and leaves payloads encrypted', () => {
    expect(FOR_APPLICATION.map(payloads)).toEqual(['for the application', 'for the application'])
    expect(SESSION_KEY_ID_ONLY.map(payloads)).toEqual(['for the application', 'for the application'])
  })

  it('of its own in clear and without SessionKeyID, and decrypts payloads itself', () => {
    expect(forNetwork(clearKey(1)).map(payloads)).toEqual(['decrypted by ChirpStack', 'decrypted by ChirpStack'])
    // The standard's form would end that.
    const standard = encodeJoinAns(header, forNetwork(clearKey(1))[0]!, dialectOf('standard-1.0'))
    expect(chirpStackPayloads(standard)).toBe('for the application')
  })

  it('of its own never wrapped: it unwraps no AppSKey, even with the KEK', () => {
    for (const outcome of forNetwork(wrappedKey(1, 'ns-000013'))) expect(() => payloads(outcome)).toThrow(RangeError)
  })
})

describe('ChirpStack v3', () => {
  const REQUEST = { ...JOIN_REQ, MACVersion: '1.0.2', VSExtension: {}, RxDelay: 0, CFList: undefined }

  it('sends RxDelay 0 and an empty VSExtension', () => {
    const { header, members } = acceptedMessage(REQUEST, V3)
    expect(parseJoinReq(header, members)).toMatchObject({ macVersion: '1.0.2', rxDelay: 0 })
  })

  it.each([
    [0, 'c00001020308070605040302017b00dad3e7ee', '184f84e85684b85e8400000000000000'],
    [2, 'c00201020308070605040302017b00a783da0d', undefined],
  ])('sends RejoinReq of type %i in version 1.0, with CFList in type 0 only', (rejoinType, PHYPayload, CFList) => {
    const members = { MessageType: 'RejoinReq', MACVersion: '1.1.0', DLSettings: 'A3', RxDelay: 1 }
    const ids = { SenderID: '030201', ReceiverID: '0807060504030201', DevEUI: '0102030405060708' }
    const message = acceptedMessage({ ...REQUEST, ...members, ...ids, PHYPayload, CFList }, V3)
    const request = parseRejoinReq(message.header, message.members)
    expect(request).toMatchObject({ frame: { rejoinType, rjCount0: 123 }, dlSettings: 0xa3 })
    expect(request.cfList && bytesToHex(request.cfList)).toBe(CFList)
  })

  it('compares identifiers as text, so they come back as it wrote them', () => {
    const { header } = acceptedMessage({ ...REQUEST, SenderID: '0x00C013', ReceiverID: '0x70B3d57ed0000000' }, V3)
    const answer = answerOf(encodeFailure(header, 'MICFailed', 'x', V3))
    expect(answer).toMatchObject({ SenderID: '0x70B3d57ed0000000', ReceiverID: '0x00C013' })
  })

  it('has an application server that unwraps AppSKeys, and needs no SessionKeyID', () => {
    const { header } = acceptedMessage(REQUEST, V3)
    for (const key of [clearKey(1), wrappedKey(1, '000013')]) {
      for (const outcome of forNetwork(key)) {
        const answer = answerOf(encodeJoinAns(header, outcome, V3))
        expect(answer['AppSKey']).toHaveProperty('AESKey')
        expect(answer).not.toHaveProperty('SessionKeyID')
      }
    }
  })

  it('posts to paths that some installations append', () => {
    expect(V3.paths).toEqual(['/', '/lbi', '/lbi_joinreq'])
    expect(V4.paths).toEqual(['/'])
  })
})
