import { type FailureAns, parseAppSKeyAns, parseJoinAns } from '@mortise/backend-interfaces'
import { hexToBytes } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { bytesOf, type Message, withMembers } from './messages.ts'

const JOIN_ANS_10: Readonly<Message> = {
  ProtocolVersion: '1.0',
  MessageType: 'JoinAns',
  SenderID: '70b3d57ed0000000',
  ReceiverID: '000013',
  TransactionID: 988596437,
  Result: { ResultCode: 'Success' },
  PHYPayload: '20'.repeat(17),
  Lifetime: 3600,
  NwkSKey: { AESKey: 'a1'.repeat(16) },
  AppSKey: { KEKLabel: 'as-test', AESKey: 'a2'.repeat(24) },
  SessionKeyID: '5260f853',
}

const JOIN_ANS_11 = withMembers(JOIN_ANS_10, {
  PHYPayload: '20'.repeat(33),
  NwkSKey: undefined,
  FNwkSIntKey: { KEKLabel: 'ns', AESKey: 'b1'.repeat(24) },
  SNwkSIntKey: { KEKLabel: 'ns', AESKey: 'b2'.repeat(24) },
  NwkSEncKey: { KEKLabel: 'ns', AESKey: 'b3'.repeat(24) },
})

const APP_S_KEY_ANS: Readonly<Message> = {
  ProtocolVersion: '1.1',
  MessageType: 'AppSKeyAns',
  SenderID: '70b3d57ed0000000',
  ReceiverID: 'as.test',
  TransactionID: 0,
  Result: { ResultCode: 'Success' },
  DevEUI: 'a289e3ce5260f853',
  SessionKeyID: '5260f853',
  AppSKey: { KEKLabel: 'as-test', AESKey: 'a2'.repeat(24) },
}

function joinAns(changes: Message, baseline = JOIN_ANS_10) {
  return parseJoinAns(bytesOf(JSON.stringify(withMembers(baseline, changes))))
}

function appSKeyAns(changes: Message) {
  return parseAppSKeyAns(bytesOf(JSON.stringify(withMembers(APP_S_KEY_ANS, changes))))
}

describe('parseJoinAns', () => {
  it('reads an answer for LoRaWAN 1.0', () => {
    expect(joinAns({})).toEqual({
      protocolVersion: '1.0',
      transactionId: 988596437,
      resultCode: 'Success',
      phyPayload: new Uint8Array(17).fill(0x20),
      networkKeys: { nwkSKey: { aesKey: new Uint8Array(16).fill(0xa1) } },
      appSKey: { kekLabel: 'as-test', aesKey: new Uint8Array(24).fill(0xa2) },
      sessionKeyId: hexToBytes('5260f853'),
      lifetime: 3600,
    })
  })

  it('reads an answer for LoRaWAN 1.1', () => {
    expect(joinAns({}, JOIN_ANS_11)).toMatchObject({
      networkKeys: {
        fNwkSIntKey: { kekLabel: 'ns', aesKey: new Uint8Array(24).fill(0xb1) },
        sNwkSIntKey: { kekLabel: 'ns', aesKey: new Uint8Array(24).fill(0xb2) },
        nwkSEncKey: { kekLabel: 'ns', aesKey: new Uint8Array(24).fill(0xb3) },
      },
    })
  })

  it.each<[string, Message]>([
    ['upper-case hex', { PHYPayload: 'AB'.repeat(17) }],
    ['an empty KEKLabel', { NwkSKey: { KEKLabel: '', AESKey: 'a1'.repeat(16) } }],
    ['no Lifetime', { Lifetime: undefined }],
    ['neither AppSKey nor SessionKeyID', { AppSKey: undefined, SessionKeyID: undefined }],
    ['an empty SessionKeyID', { SessionKeyID: '' }],
    ['a Description', { Result: { ResultCode: 'Success', Description: 'fine' } }],
    ['unknown members', { VSExtension: {}, ReceiverNSID: '' }],
  ])('accepts %s', (_, changes) => {
    expect(joinAns(changes).resultCode).toBe('Success')
  })

  it.each<[string, Message, string]>([
    ['no Result', { Result: undefined }, 'malformed'],
    ['a Result null', { Result: null }, 'malformed'],
    ['an empty Result', { Result: {} }, 'malformed'],
    ['a Result that is text', { Result: 'Success' }, 'malformed'],
    ['an unknown ResultCode', { Result: { ResultCode: 'Perhaps' } }, 'unknown_result_code'],
    ['another MessageType', { MessageType: 'AppSKeyAns' }, 'unexpected_message'],
    ['no MessageType', { MessageType: undefined }, 'unexpected_message'],
    ['another ProtocolVersion', { ProtocolVersion: '2.0' }, 'malformed'],
    ['no TransactionID', { TransactionID: undefined }, 'malformed'],
    ['no PHYPayload', { PHYPayload: undefined }, 'malformed'],
    ['a PHYPayload of 18 bytes', { PHYPayload: '20'.repeat(18) }, 'malformed'],
    ['no network session key', { NwkSKey: undefined }, 'malformed'],
    ['keys of both LoRaWAN versions', { FNwkSIntKey: { AESKey: 'b1'.repeat(16) } }, 'malformed'],
    ['a clear key of 24 bytes', { NwkSKey: { AESKey: 'a1'.repeat(24) } }, 'malformed'],
    ['a labelled key of 16 bytes', { NwkSKey: { KEKLabel: 'x', AESKey: 'a1'.repeat(16) } }, 'malformed'],
    ['a label that is no text', { NwkSKey: { KEKLabel: 1, AESKey: 'a1'.repeat(24) } }, 'malformed'],
    ['a key that is text', { NwkSKey: 'a1'.repeat(16) }, 'malformed'],
    ['a malformed AppSKey', { AppSKey: {} }, 'malformed'],
    ['a SessionKeyID of an odd number of digits', { SessionKeyID: '1' }, 'malformed'],
    ['a negative Lifetime', { Lifetime: -1 }, 'malformed'],
  ])('refuses %s', (_, changes, code) => {
    expect(() => joinAns(changes)).toThrow(expect.objectContaining({ name: 'AnswerError', code }))
  })

  it.each(['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey'])('refuses a 1.1 answer without %s', (name) => {
    expect(() => joinAns({ [name]: undefined }, JOIN_ANS_11)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  it.each([
    '',
    'null',
    '[]',
    '<html>',
    '{"MessageType":"JoinAns"',
    '{"MessageType":"JoinAns","MessageType":"JoinAns"}',
  ])('refuses the body %j', (text) => {
    expect(() => parseJoinAns(bytesOf(text))).toThrow(expect.objectContaining({ code: 'not_json' }))
  })

  it('gives a refusal as an answer, with its description', () => {
    const failure = withMembers(JOIN_ANS_10, {
      ...{ PHYPayload: undefined, NwkSKey: undefined, AppSKey: undefined, SessionKeyID: undefined },
      Result: { ResultCode: 'UnknownReceiver', Description: 'No such JoinEUI here.' },
    })
    const expected: FailureAns = {
      protocolVersion: '1.0',
      transactionId: 988596437,
      resultCode: 'UnkownReceiver',
      description: 'No such JoinEUI here.',
    }
    expect(joinAns({}, failure)).toEqual(expected)
    expect(joinAns({ Result: { ResultCode: 'MICFailed' } }, failure)).not.toHaveProperty('description')
  })
})

describe('parseAppSKeyAns', () => {
  it('reads DevEUI, SessionKeyID and AppSKey', () => {
    expect(appSKeyAns({})).toEqual({
      protocolVersion: '1.1',
      transactionId: 0,
      resultCode: 'Success',
      devEui: 'a289e3ce5260f853',
      sessionKeyId: hexToBytes('5260f853'),
      appSKey: { kekLabel: 'as-test', aesKey: new Uint8Array(24).fill(0xa2) },
    })
  })

  it.each<[string, Message]>([
    ['no DevEUI', { DevEUI: undefined }],
    ['no SessionKeyID', { SessionKeyID: undefined }],
    ['no AppSKey', { AppSKey: undefined }],
  ])('refuses %s', (_, changes) => {
    expect(() => appSKeyAns(changes)).toThrow(expect.objectContaining({ name: 'AnswerError', code: 'malformed' }))
  })

  it('gives a refusal as an answer', () => {
    expect(appSKeyAns({ Result: { ResultCode: 'ActivationDisallowed' }, AppSKey: undefined })).toMatchObject({
      resultCode: 'ActivationDisallowed',
    })
  })
})
