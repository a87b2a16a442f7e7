import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Callers } from '../bi/callers.ts'
import { DeviceModel } from '../bi/device-model.ts'
import { type Expectation, expectAnswer } from '../bi/expect.ts'
import { judge } from '../bi/judge.ts'
import { joinReq, type Message } from '../bi/messages.ts'
import { idOf } from '../bi/peers.ts'
import { SharedHistory } from '../bi/shared-history.ts'
import type { EnrolledDevice } from '../bi/devices.ts'
import { BiWorld } from '../bi/world.ts'
import { AnswerParser, type HttpAnswer, MalformedAnswerError } from '../http/answer-parser.ts'
import { encodeRequest, post } from '../http/request.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { objection } from './objection.ts'

const SEED = 0x5e1f

/** Real answers of a real server, of which one thing is made wrong: the oracle has to object, and not to the real one. */
export function describeBiOracle(): void {
  describe('the oracle of the Backend Interfaces', () => {
    let world: BiWorld
    let callers: Callers
    let scanner: SecretScanner
    let device: EnrolledDevice
    let message: Message
    let answer: HttpAnswer

    beforeAll(async () => {
      world = await BiWorld.create([SEED])
      callers = new Callers(world)
      scanner = new SecretScanner(world.secrets())
      ;[device] = world.devices(SEED).exclusive as [EnrolledDevice]
      message = { ...joinReq(new Random(SEED), device, 'clear', 7), ProtocolVersion: '1.1' }
      answer = await ask(message)
    })
    afterAll(async () => {
      await callers.close()
      await world[Symbol.asyncDispose]()
    })

    const bodyOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
    const ask = (value: Message): Promise<HttpAnswer> => callers.of('clear').ask(encodeRequest(post(bodyOf(value))))
    const expected = (value: Message, model = new DeviceModel(device)): Expectation =>
      expectAnswer((_joinEui, devEui) => (devEui === device.devEui ? model : undefined), 'clear', bodyOf(value))
    const withBody = (change: (text: string) => string): HttpAnswer => ({
      ...answer,
      body: Buffer.from(change(answer.body.toString())),
    })
    const judged = (given: HttpAnswer, to: Message = message): string =>
      objection(() => judge(scanner, expected(to), given))
    const refusal = async (): Promise<HttpAnswer> => await ask({ ...message, DevAddr: 'ffffffff' })

    test('takes the real answer', () => {
      expect(JSON.parse(answer.body.toString())).toMatchObject({ Result: { ResultCode: 'Success' } })
      expect(judged(answer)).toBe('none')
    })

    test('a Success for a frame with a wrong MIC, of nobody, for a used DevNonce, from a stranger', () => {
      const frame = String(message['PHYPayload'])
      const last = frame.endsWith('0') ? '1' : '0'
      expect(judged(answer, { ...message, PHYPayload: frame.slice(0, -1) + last })).toBe('false_success')
      expect(judged(answer, { ...message, SenderID: idOf('wrapped') })).toBe('false_success')
      const model = new DeviceModel(device)
      judge(scanner, expected(message, model), answer)
      const replay = expected({ ...message, DevAddr: '00000001' }, model)
      expect(objection(() => judge(scanner, replay, answer))).toBe('false_success')
      const stranger = expectAnswer(() => new DeviceModel(device), 'stranger', bodyOf(message))
      expect(objection(() => judge(scanner, stranger, answer))).toBe('false_success')
    })

    test('a refusal of what is valid, and a code that is not the one', async () => {
      const refused = await refusal()
      expect(judged(refused)).toBe('code')
      const model = new DeviceModel(device)
      judge(scanner, expected(message, model), answer)
      const replay = { ...message, DevAddr: 'ffffffff' }
      expect(objection(() => judge(scanner, expected(replay, model), refused))).toBe('none')
      const other = { ...refused, body: Buffer.from(refused.body.toString().replace('FrameReplayed', 'MICFailed')) }
      expect(objection(() => judge(scanner, expected(replay, model), other))).toBe('code')
    })

    test('a 500, HTML, half an answer, a code of the other dialect, a stack trace', async () => {
      expect(judged({ ...answer, status: 500 })).toBe('http_status')
      const html = new Map(answer.headers).set('content-type', 'text/html')
      expect(judged({ ...answer, headers: html })).toBe('not_json')
      expect(judged(withBody((text) => text.slice(0, -5)))).toBe('not_json')
      expect(judged(withBody((text) => text.replace('{', '{"Result":{},')))).toBe('not_json')
      expect(judged(withBody((text) => text.replace('"Success"', '"MalformedRequest"')))).toBe('unknown_code')
      const refused = (await refusal()).body.toString()
      const trace = refused.replace(/"Description":"/, '"Description":"TypeError at join (/srv/answer-join.ts:12:3) ')
      expect(judged({ ...answer, body: Buffer.from(trace) })).toBe('inside_shown')
    })

    test.each(['hex', 'base64', 'latin1'] as const)('a root key or a KEK in an answer, as %s', (form) => {
      for (const key of [device.appKey, ...world.secrets().values()]) {
        const body = Buffer.from(`{"Note":"${key.toString(form)}"}`, 'latin1')
        expect(judged({ ...answer, body })).toBe('secret_in_answer')
      }
    })

    test('another key, a key in clear, another JoinNonce, another header', () => {
      const flipped = (name: string) => (text: string) =>
        text.replace(
          new RegExp(`("${name}":.*?"AESKey":")(.)`),
          (_all, before: string, digit: string) => before + (digit === '0' ? '1' : '0'),
        )
      const key = answer.body.includes('"NwkSKey"') ? 'NwkSKey' : 'FNwkSIntKey'
      expect(judged(withBody(flipped(key)))).toBe('network_key')
      expect(judged(withBody(flipped('AppSKey')))).toBe('app_s_key')
      expect(judged(withBody((text) => text.replace(/("PHYPayload":"20)../, '$1aa')))).toBe('join_accept')
      expect(judged(withBody((text) => text.replace(/"TransactionID":\d+/, '"TransactionID":1')))).toBe('header')
      const model = new DeviceModel(device)
      const { joined } = judge(scanner, expected(message, model), answer)
      expect(joined?.joinNonce).toBe(1)
      const next = { ...message, PHYPayload: joinReq(new Random(1), device, 'clear', 8)['PHYPayload'] }
      expect(objection(() => judge(scanner, expected(next, model), answer))).not.toBe('none')
      const clear = joined?.appSKey.toString('hex') ?? ''
      expect(
        judged(withBody((text) => text.replace('"Lifetime":0', `"Lifetime":0,"ReceiverNSID":"${clear}"`))),
      ).not.toBe('none')
    })

    test('one device, many cases: a nonce twice, another answer, an old request answered again', () => {
      const { joined } = judge(scanner, expected(message), answer)
      if (joined === undefined) throw new Error('no join')
      const history = new SharedHistory()
      const add = (change: Partial<typeof joined>, horizon = 0): string =>
        objection(() => {
          history.add({ ...joined, ...change }, horizon)
        })
      expect(add({})).toBe('none')
      expect(add({})).toBe('none')
      expect(add({ identity: 'another' })).toBe('join_nonce_reused')
      expect(add({ answer: 'another' })).toBe('other_answer')
      expect(add({ joinNonce: 2 })).toBe('dev_nonce_reused')
      expect(add({ joinNonce: 2, request: { ...joined.request, count: 9 }, identity: 'second' }, 1)).toBe('none')
      expect(add({}, 2)).toBe('old_request_answered')
    })

    test.each([
      ['no status line', 'HTTP/9 200 OK\r\n\r\n'],
      ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
      ['a header twice', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n'],
      ['a chunk without size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ])('what is no HTTP: %s', (_name, text) => {
      expect(() => new AnswerParser().push(Buffer.from(text))).toThrow(MalformedAnswerError)
      const fine = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'
      expect(new AnswerParser().push(Buffer.from(fine)).map(({ status }) => status)).toEqual([200])
    })
  })
}
