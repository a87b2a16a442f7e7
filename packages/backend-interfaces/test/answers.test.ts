import {
  type AppSKeyOutcome,
  answerHeader,
  encodeAppSKeyAns,
  encodeFailure,
  encodeJoinAns,
  type FailureCode,
  type JoinOutcome,
  type KeyEnvelope,
  RESULT_CODES,
  type RequestHeader,
} from '@mortise/backend-interfaces'
import { hexToBytes, parseDevEui } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedMessage, APP_S_KEY_REQ, JOIN_REQ, type Message, STANDARD, withMembers } from './messages.ts'
import { chirpStackComplaint, ttsComplaint } from './peer-rules.ts'

function headerWith(changes: Message, baseline: Readonly<Message> = JOIN_REQ): RequestHeader {
  return acceptedMessage(withMembers(baseline, changes)).header
}

function clear(byte: number): KeyEnvelope {
  return { aesKey: new Uint8Array(16).fill(byte) }
}

function wrapped(byte: number, kekLabel = 'ns-000013'): KeyEnvelope {
  return { kekLabel, aesKey: new Uint8Array(24).fill(byte) }
}

const OUTCOME_10: JoinOutcome = {
  phyPayload: new Uint8Array(17).fill(0x20),
  networkKeys: { nwkSKey: clear(0xa1) },
  appSKey: wrapped(0xa2, 'as-test'),
  sessionKeyId: hexToBytes('5260f8530000010001'),
  lifetime: 0,
}

const OUTCOME_11: JoinOutcome = {
  phyPayload: new Uint8Array(33).fill(0x20),
  networkKeys: { fNwkSIntKey: wrapped(0xb1), sNwkSIntKey: wrapped(0xb2), nwkSEncKey: wrapped(0xb3) },
  lifetime: 4294967295,
}

const APP_S_KEY: AppSKeyOutcome = {
  devEui: parseDevEui('a289e3ce5260f853'),
  sessionKeyId: hexToBytes('5260f8530000010001'),
  appSKey: wrapped(0xc1, 'as-test'),
}

describe('answerHeader', () => {
  it('swaps identifiers and tokens, echoes them as received, and turns Req into Ans', () => {
    const header = headerWith({
      SenderID: '0xC00053',
      ReceiverID: '70B3D57ED0000000',
      SenderToken: '0xAB',
      ReceiverToken: 'cd',
    })
    expect(JSON.parse(JSON.stringify(answerHeader(header, STANDARD)))).toEqual({
      ProtocolVersion: '1.0',
      MessageType: 'JoinAns',
      SenderID: '70B3D57ED0000000',
      ReceiverID: '0xC00053',
      TransactionID: 988596437,
      SenderToken: 'cd',
      ReceiverToken: 'ab',
    })
  })

  it('echoes SenderNSID as ReceiverNSID in 1.1 only', () => {
    const nsId = { SenderNSID: '70B3D57ED0000013' }
    expect(answerHeader(headerWith({ ...nsId, ProtocolVersion: '1.1' }), STANDARD).ReceiverNSID).toBe(
      '70b3d57ed0000013',
    )
    expect(answerHeader(headerWith({ ...nsId, ProtocolVersion: '1.0' }), STANDARD).ReceiverNSID).toBeUndefined()
    expect(answerHeader(headerWith({ ProtocolVersion: '1.1' }), STANDARD).ReceiverNSID).toBeUndefined()
  })

  it('says what little is known of a header that could not be read', () => {
    expect(JSON.stringify(answerHeader({ protocolVersion: '1.1' }, STANDARD))).toBe('{"ProtocolVersion":"1.1"}')
  })
})

describe('encodeJoinAns', () => {
  it('writes a 1.0 answer: NwkSKey, lower-case hex, a label only on what is wrapped', () => {
    expect(JSON.parse(encodeJoinAns(headerWith({}), OUTCOME_10, STANDARD))).toEqual({
      ProtocolVersion: '1.0',
      MessageType: 'JoinAns',
      SenderID: '70b3d57ed0000000',
      ReceiverID: '000013',
      TransactionID: 988596437,
      Result: { ResultCode: 'Success' },
      PHYPayload: '20'.repeat(17),
      Lifetime: 0,
      NwkSKey: { AESKey: 'a1'.repeat(16) },
      AppSKey: { KEKLabel: 'as-test', AESKey: 'a2'.repeat(24) },
      SessionKeyID: '5260f8530000010001',
    })
  })

  it('writes a 1.1 answer: the three network session keys, and nothing that is absent', () => {
    expect(JSON.parse(encodeJoinAns(headerWith({}), OUTCOME_11, STANDARD))).toEqual({
      ProtocolVersion: '1.0',
      MessageType: 'JoinAns',
      SenderID: '70b3d57ed0000000',
      ReceiverID: '000013',
      TransactionID: 988596437,
      Result: { ResultCode: 'Success' },
      PHYPayload: '20'.repeat(33),
      Lifetime: 4294967295,
      FNwkSIntKey: { KEKLabel: 'ns-000013', AESKey: 'b1'.repeat(24) },
      SNwkSIntKey: { KEKLabel: 'ns-000013', AESKey: 'b2'.repeat(24) },
      NwkSEncKey: { KEKLabel: 'ns-000013', AESKey: 'b3'.repeat(24) },
    })
  })

  it('treats an empty label as none', () => {
    const text = encodeJoinAns(headerWith({}), { ...OUTCOME_10, appSKey: { kekLabel: '', ...clear(1) } }, STANDARD)
    expect(text).not.toContain('KEKLabel')
  })

  it('escapes labels and sender identifiers', () => {
    const label = 'a"b\\c\u0001\u2028✓'
    const header = headerWith({ SenderID: 'as"},"x":{"\\' })
    const answer = JSON.parse(encodeJoinAns(header, { ...OUTCOME_10, appSKey: wrapped(1, label) }, STANDARD)) as Message
    expect(answer['ReceiverID']).toBe('as"},"x":{"\\')
    expect(answer['AppSKey']).toMatchObject({ KEKLabel: label })
    expect(answer).not.toHaveProperty('x')
  })

  it.each<[string, Partial<JoinOutcome>]>([
    ['a join-accept of 16 bytes', { phyPayload: new Uint8Array(16) }],
    ['a clear key of 24 bytes', { appSKey: { aesKey: new Uint8Array(24) } }],
    ['a labelled key of 16 bytes', { appSKey: { kekLabel: 'x', aesKey: new Uint8Array(16) } }],
    ['a network key of 15 bytes', { networkKeys: { nwkSKey: { aesKey: new Uint8Array(15) } } }],
    ['an empty SessionKeyID', { sessionKeyId: new Uint8Array(0) }],
    ['a SessionKeyID of 65 bytes', { sessionKeyId: new Uint8Array(65) }],
    ['a negative Lifetime', { lifetime: -1 }],
    ['a Lifetime of 33 bits', { lifetime: 2 ** 32 }],
    ['a fractional Lifetime', { lifetime: 0.5 }],
    ['a Lifetime that is no number', { lifetime: Number.NaN }],
  ])('refuses to write %s', (_, changes) => {
    expect(() => encodeJoinAns(headerWith({}), { ...OUTCOME_10, ...changes }, STANDARD)).toThrow(RangeError)
  })
})

describe('encodeAppSKeyAns', () => {
  it('writes DevEUI, SessionKeyID and the wrapped AppSKey', () => {
    expect(JSON.parse(encodeAppSKeyAns(headerWith({}, APP_S_KEY_REQ), APP_S_KEY))).toEqual({
      ProtocolVersion: '1.1',
      MessageType: 'AppSKeyAns',
      SenderID: '70B3D57ED0000000',
      ReceiverID: 'as.test',
      TransactionID: 0,
      Result: { ResultCode: 'Success' },
      DevEUI: 'a289e3ce5260f853',
      SessionKeyID: '5260f8530000010001',
      AppSKey: { KEKLabel: 'as-test', AESKey: 'c1'.repeat(24) },
    })
  })
})

describe('encodeFailure', () => {
  it('writes header and Result, in the spelling of the version', () => {
    expect(JSON.parse(encodeFailure(headerWith({}), 'FrameReplayed', 'DevNonce 1 was used before.', STANDARD))).toEqual(
      {
        ProtocolVersion: '1.0',
        MessageType: 'JoinAns',
        SenderID: '70b3d57ed0000000',
        ReceiverID: '000013',
        TransactionID: 988596437,
        Result: { ResultCode: 'JoinReqFailed', Description: 'DevNonce 1 was used before.' },
      },
    )
    const header11 = headerWith({ ProtocolVersion: '1.1' })
    expect(encodeFailure(header11, 'FrameReplayed', 'x', STANDARD)).toContain('"ResultCode":"FrameReplayed"')
  })
})

describe('what ChirpStack v4 and The Things Stack accept', () => {
  const headers = {
    chirpStack: headerWith({}),
    tts10: headerWith({ SenderNSID: '000013', TransactionID: 0 }),
    tts11: headerWith({ ProtocolVersion: '1.1', SenderNSID: '70B3D57ED0000013' }),
    helium: headerWith({ ProtocolVersion: '1.1', SenderNSID: '', SenderID: '0xC00053' }),
    tokens: headerWith({ SenderToken: 'AB', ReceiverToken: '' }),
  }

  it.each(Object.entries(headers))('every JoinAns to %s', (_, header) => {
    for (const outcome of [OUTCOME_10, OUTCOME_11, { ...OUTCOME_10, appSKey: clear(1), sessionKeyId: undefined }]) {
      const text = encodeJoinAns(header, outcome, STANDARD)
      expect(chirpStackComplaint(text)).toBeUndefined()
      expect(ttsComplaint(text)).toBeUndefined()
    }
  })

  it('every AppSKeyAns', () => {
    expect(ttsComplaint(encodeAppSKeyAns(headerWith({}, APP_S_KEY_REQ), APP_S_KEY))).toBeUndefined()
  })

  const failures = RESULT_CODES.filter((code): code is FailureCode => code !== 'Success')

  it.each(failures)('the failure %s', (code) => {
    expect(chirpStackComplaint(encodeFailure(headers.chirpStack, code, 'Look here.', STANDARD))).toBeUndefined()
    expect(ttsComplaint(encodeFailure(headers.tts10, code, 'Look here.', STANDARD))).toBeUndefined()
    expect(ttsComplaint(encodeFailure(headers.tts11, code, 'Look here.', STANDARD))).toBeUndefined()
  })

  it('the rules themselves refuse what those servers lose', () => {
    const good = encodeJoinAns(headers.chirpStack, OUTCOME_10, STANDARD)
    expect(chirpStackComplaint(good.replace('"Success"', '"NoAction"'))).toBeDefined()
    expect(chirpStackComplaint(good.replace('"Lifetime":0', '"Lifetime":null'))).toBeDefined()
    expect(chirpStackComplaint(good.replace('"NwkSKey"', '"FNwkSIntKey"'))).toBeDefined()
    expect(chirpStackComplaint(good.replace('5260f8530000010001', '1'))).toBeDefined()
    expect(chirpStackComplaint(`${good}\n`)).toBeDefined()
    expect(ttsComplaint(good.replace('{', '{"ReceiverNSID":"",'))).toBeDefined()
    expect(ttsComplaint(good.replace('"Success"', '"MalformedMessage"'))).toBeDefined()
  })
})
