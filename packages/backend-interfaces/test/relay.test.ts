import {
  AnswerError,
  dialectOf,
  parseMessage,
  relayAnswer,
  relayRequest,
  type RequestHeader,
} from '@mortise/backend-interfaces'
import { parseNsId } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { APP_S_KEY_REQ, JOIN_REQ, type Message, STANDARD } from './messages.ts'

const NS_ID = parseNsId('70b3d57ed0000013')
/** With what no program of ours would write: blanks, an exponent, an escape, members in no order. */
const bytes = (message: Message) =>
  Buffer.from(JSON.stringify(message).replace('{', '{ "VSExtension" : {"x":1.50e1,"y":"\\u00e9"},'))

function headerOf(message: Message): RequestHeader {
  const parsed = parseMessage(bytes(message), STANDARD)
  if (parsed.kind !== 'message') throw new Error(parsed.kind)
  return parsed.header
}

const ASKED_1_0 = headerOf(JOIN_REQ)
const JOIN_REQ_1_1 = { ...JOIN_REQ, ProtocolVersion: '1.1', SenderNSID: NS_ID.toUpperCase() }
const ASKED_1_1 = headerOf(JOIN_REQ_1_1)

describe('a request', () => {
  test.each([
    ['1.0', JOIN_REQ],
    ['1.1', JOIN_REQ_1_1],
    ['1.1', APP_S_KEY_REQ],
  ] as const)('in the version of the join server, %s, goes as it came', (version, message) => {
    const body = bytes(message)
    expect(relayRequest(body, headerOf(message), version, NS_ID)).toBe(body)
  })

  test('from 1.0 to 1.1 gets the NSID of the network server, where that has one', () => {
    const relayed = JSON.parse(relayRequest(bytes(JOIN_REQ), ASKED_1_0, '1.1', NS_ID) as string) as Message
    const VSExtension = { x: 15, y: 'é' }
    expect(relayed).toEqual({ ...JOIN_REQ, VSExtension, ProtocolVersion: '1.1', SenderNSID: NS_ID })
    const without = JSON.parse(relayRequest(bytes(JOIN_REQ), ASKED_1_0, '1.1', undefined) as string) as Message
    expect(without).toEqual({ ...JOIN_REQ, VSExtension, ProtocolVersion: '1.1' })
  })

  test('from 1.1 to 1.0 loses the NSID', () => {
    const relayed = JSON.parse(relayRequest(bytes(JOIN_REQ_1_1), ASKED_1_1, '1.0', NS_ID) as string) as Message
    expect(relayed).toEqual({ ...JOIN_REQ, VSExtension: { x: 15, y: 'é' } })
  })
})

const JOIN_ANS = {
  ProtocolVersion: '1.0',
  SenderID: JOIN_REQ['ReceiverID'],
  ReceiverID: JOIN_REQ['SenderID'],
  TransactionID: JOIN_REQ['TransactionID'],
  MessageType: 'JoinAns',
  Result: { ResultCode: 'Success' },
  PHYPayload: '20'.repeat(17),
  NwkSKey: { KEKLabel: 'ns', AESKey: '11'.repeat(24) },
  AppSKey: { KEKLabel: 'their-application-server', AESKey: '22'.repeat(24) },
  SessionKeyID: '0123456789abcdef',
}

describe('an answer', () => {
  test('in the version of the request goes on to the last byte', () => {
    const body = bytes(JOIN_ANS)
    const { body: relayed, resultCode } = relayAnswer(body, ASKED_1_0, STANDARD)
    expect(Buffer.from(relayed).equals(body)).toBe(true)
    expect(resultCode).toBe('Success')
  })

  test('in the other version changes nothing but its header', () => {
    const of11 = { ...JOIN_ANS, ProtocolVersion: '1.1', ReceiverNSID: NS_ID, SenderNSID: NS_ID }
    const VSExtension = { x: 15, y: 'é' }
    expect(JSON.parse(relayAnswer(bytes(of11), ASKED_1_0, STANDARD).body)).toEqual({ ...JOIN_ANS, VSExtension })
    expect(JSON.parse(relayAnswer(bytes(JOIN_ANS), ASKED_1_1, STANDARD).body)).toEqual({
      ...{ ...JOIN_ANS, VSExtension, ProtocolVersion: '1.1', ReceiverNSID: NS_ID },
    })
  })

  test.each([
    ['FrameReplayed', 'JoinReqFailed', 'a code of 1.1 alone'],
    ['MalformedMessage', 'MalformedRequest', 'the spelling of 1.1'],
    ['UnknownReceiver', 'UnkownReceiver', 'a code that the peer reads in one spelling'],
    ['MICFailed', 'MICFailed', 'a code of both'],
  ])('with %s says %s to one that asks in 1.0: %s', (given, expected) => {
    const failure = { ...JOIN_ANS, Result: { ResultCode: given, Description: 'what they say' } }
    const { body } = relayAnswer(bytes(failure), ASKED_1_0, dialectOf('chirpstack-4'))
    expect(JSON.parse(body)).toMatchObject({ Result: { ResultCode: expected, Description: 'what they say' } })
  })

  test.each<[boolean, string, Message]>([
    [false, 'a key under a KEK', JOIN_ANS],
    [false, 'no network key', { ...JOIN_ANS, NwkSKey: undefined }],
    [false, 'an AppSKey alone in clear', { ...JOIN_ANS, AppSKey: { AESKey: '22'.repeat(16) } }],
    [true, 'a key without a label', { ...JOIN_ANS, NwkSKey: { AESKey: '11'.repeat(16) } }],
    [true, 'a label over a key that is not wrapped', { ...JOIN_ANS, NwkSKey: { KEKLabel: 'ns', AESKey: '11' } }],
    [true, 'a key whose name only Go reads so', { ...JOIN_ANS, 'nw\u212a\u017fkey': { AESKey: '11'.repeat(16) } }],
    [true, 'one of three in clear', { ...JOIN_ANS, FNwkSIntKey: JOIN_ANS.NwkSKey, SNwkSIntKey: { AESKey: '11' } }],
  ])('says %s of network keys in clear: %s', (expected, _what, message) => {
    expect(relayAnswer(bytes(message), ASKED_1_0, STANDARD).hasClearNetworkKeys).toBe(expected)
  })

  const broken: [string, Uint8Array, string][] = [
    ['HTML', Buffer.from('<html><body>It works!</body></html>'), 'not_json'],
    ['nothing', Buffer.from(''), 'not_json'],
    ['an array', Buffer.from('[]'), 'not_json'],
    ['a member twice', Buffer.from('{"MessageType":"JoinAns","MessageType":"JoinAns"}'), 'not_json'],
    ['another message', bytes({ ...JOIN_ANS, MessageType: 'AppSKeyAns' }), 'unexpected_message'],
    ['another transaction', bytes({ ...JOIN_ANS, TransactionID: 1 }), 'unexpected_message'],
    ['no transaction', bytes({ ...JOIN_ANS, TransactionID: undefined }), 'unexpected_message'],
    ['no Result', bytes({ ...JOIN_ANS, Result: undefined }), 'malformed'],
    ['a code that nobody knows', bytes({ ...JOIN_ANS, Result: { ResultCode: 'Fine' } }), 'unknown_result_code'],
  ]
  test.each(broken)('that is %s is none', (_what, body, code) => {
    let thrown: unknown
    try {
      relayAnswer(body, ASKED_1_0, STANDARD)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(AnswerError)
    expect(thrown).toMatchObject({ code })
  })
})
