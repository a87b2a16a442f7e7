import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busyStatus, isAcknowledgement } from '../bi/conversation.ts'
import { checkAnswer } from '../bi/check-answer.ts'
import { DeviceModel } from '../bi/device-model.ts'
import { judge } from '../bi/judge.ts'
import { homeNsReq, joinReq, type Message } from '../bi/messages.ts'
import { type Caller, dialectOf, kekFor, idOf, type Network, peerOf } from '../bi/peers.ts'
import type { EnrolledDevice } from '../bi/devices.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { Random } from '../random.ts'
import { BiParties, bodyOf, changed, flippedKey, flippedText } from './bi-parties.ts'
import { objection, objectionTo as objectionToLater } from './objection.ts'

const SEED = 0xd1a1
const SERVED: readonly Network[] = [
  ...(['clear', 'wrapped', 'version11', 'chirpStack4', 'chirpStack3', 'theThingsStack', 'helium'] as const),
  'asynchronous',
]
/** Those whose own AppSKey has no SessionKeyID beside it. */
const WITHOUT_SESSION_KEY_ID: readonly Network[] = ['chirpStack4', 'chirpStack3']
const OF_CLEAR_KEK = { KEKLabel: kekFor(idOf('wrapped'))?.label }

/** Real answers to every kind of network server, of which one thing is made wrong. */
export function describeDialectOracle(): void {
  describe('the oracle of the dialects', () => {
    const random = new Random(SEED)
    let parties: BiParties
    beforeAll(async () => {
      parties = await BiParties.create(SEED)
    })
    afterAll(() => parties[Symbol.asyncDispose]())

    const isPlain = ({ networks, applicationServers, networkIsApplicationServer }: EnrolledDevice): boolean =>
      networks.length > 1 &&
      networks[0] === idOf('clear') &&
      applicationServers[0] === 'doors.example' &&
      !networkIsApplicationServer
    const isOwn = ({ networks, networkIsApplicationServer }: EnrolledDevice): boolean =>
      networks.length > 1 && networkIsApplicationServer
    const objectionTo = (caller: Caller, device: EnrolledDevice, message: Message, answer: HttpAnswer): string =>
      objection(() => judge(parties.scanner, parties.expected(caller, message, new DeviceModel(device)), answer))
    const versionOf = (caller: Caller): string => dialectOf(caller).versions.at(-1) ?? ''
    /** In the newest version of the caller, with all that an answer may repeat. */
    const joinOf = (caller: Network, device: EnrolledDevice): Message => ({
      ...joinReq(random, device, caller, 1),
      ...{ ProtocolVersion: versionOf(caller), SenderNSID: '70b3d57ed00000ab', SenderToken: 'abcd' },
    })

    test.each(SERVED)('takes the real answer to %s, and no other', async (caller) => {
      const device = parties.device(isPlain)
      const message = joinOf(caller, device)
      const answer = await parties.ask(caller, message)
      expect(objectionTo(caller, device, message, answer)).toBe('none')
      const { upperCase, nsId } = dialectOf(caller)
      const otherCase = (name: string): HttpAnswer =>
        changed(answer, (text) =>
          text.replace(
            new RegExp(`("${name}":")([^"]*)`),
            (_all, before: string, hex: string) => before + (upperCase ? hex.toLowerCase() : hex.toUpperCase()),
          ),
        )
      expect(objectionTo(caller, device, message, otherCase('PHYPayload'))).toBe('join_accept')
      expect(objectionTo(caller, device, message, otherCase('ReceiverToken'))).toBe('header')
      expect(objectionTo(caller, device, message, flippedText(answer, 'SessionKeyID'))).toBe('session_key_id')
      if (nsId === 'never') {
        const told = changed(answer, (text) => text.replace('{', '{"ReceiverNSID":"70b3d57ed00000ab",'))
        expect(objectionTo(caller, device, message, told)).toBe('header')
      } else expect(objectionTo(caller, device, message, otherCase('ReceiverNSID'))).toBe('header')
    })

    test.each(SERVED)('an AppSKey for %s itself, and none that is told otherwise', async (caller) => {
      const device = parties.device(isOwn)
      const message = joinOf(caller, device)
      const answer = await parties.ask(caller, message)
      expect(objectionTo(caller, device, message, answer)).toBe('none')
      expect(objectionTo(caller, device, message, flippedKey(answer, 'AppSKey'))).toBe('app_s_key')
      const told = changed(answer, (text) => text.replace(/,"SessionKeyID":"[^"]*"/, ''))
      if (WITHOUT_SESSION_KEY_ID.includes(caller)) {
        expect(told.body).toEqual(answer.body)
        const more = changed(answer, (text) => text.replace(/}$/, ',"SessionKeyID":"0011223344556677"}'))
        expect(objectionTo(caller, device, message, more)).toBe('member')
      } else expect(objectionTo(caller, device, message, told)).toBe('session_key_id')
      const label = peerOf(caller)?.kekBytes === undefined ? OF_CLEAR_KEK : {}
      const relabelled = changed(answer, (text) =>
        text.replace(/"AppSKey":\{("KEKLabel":"[^"]*",)?/, `"AppSKey":${JSON.stringify(label).slice(0, -1)},`),
      )
      expect(objectionTo(caller, device, message, relabelled)).not.toBe('none')
    })

    test('an answer in a version, or to a NSID, that the dialect does not have', async () => {
      const device = parties.device(isPlain)
      const message: Message = { ...joinOf('chirpStack4', device), ProtocolVersion: '1.1' }
      const refused = await parties.ask('chirpStack4', message)
      expect(objectionTo('chirpStack4', device, message, refused)).toBe('none')
      const in11 = changed(refused, (text) => text.replace('"1.0"', '"1.1"'))
      expect(objectionTo('chirpStack4', device, message, in11)).toBe('header')
      const without = { ...joinOf('version11', device), SenderNSID: undefined }
      const malformed = await parties.ask('version11', without)
      expect(objectionTo('version11', device, without, malformed)).toBe('none')
      const fine = await parties.ask('version11', joinOf('version11', device))
      expect(objectionTo('version11', device, without, fine)).toBe('false_success')
    })

    test.each(['largeKek', 'kekOnly'] as const)('a Success for %s, which can have no keys', async (caller) => {
      const device = parties.device(isPlain)
      const message: Message = { ...joinOf(caller, device), SenderID: idOf(caller) }
      expect(objectionTo(caller, device, message, await parties.ask(caller, message))).toBe('none')
      const other = { ...message, SenderID: idOf('helium'), TransactionID: 3 }
      const given = changed(await parties.ask('helium', other), (text) => text.replace(idOf('helium'), idOf(caller)))
      expect(objectionTo(caller, device, { ...message, TransactionID: 3 }, given)).toBe('false_success')
    })

    test('another home, one for whom there is no agreement, an NSID too many or too few', async () => {
      const homeOf = (caller: Network): EnrolledDevice => parties.device(({ networks }) => networks[0] === idOf(caller))
      const ask = async (device: EnrolledDevice, version: string): Promise<[Message, HttpAnswer]> => {
        const message = { ...homeNsReq(random, device, 'clear'), ProtocolVersion: version }
        return [message, await parties.ask('clear', message)]
      }
      const withNsId = (answer: HttpAnswer): HttpAnswer =>
        changed(answer, (text) => text.replace(/}$/, `,"HNSID":"${peerOf('version11')?.nsId ?? ''}"}`))
      const home = homeOf('version11')
      const [old, oldAnswer] = await ask(home, '1.0')
      expect(objectionTo('clear', home, old, oldAnswer)).toBe('none')
      expect(objectionTo('clear', home, old, withNsId(oldAnswer))).toBe('home')
      const [message, answer] = await ask(home, '1.1')
      expect(objectionTo('clear', home, message, answer)).toBe('none')
      for (const name of ['HNetID', 'HNSID'])
        expect(objectionTo('clear', home, message, flippedText(answer, name))).toBe('home')
      const without = changed(answer, (text) => text.replace(/,"HNSID":"[^"]*"/, ''))
      expect(objectionTo('clear', home, message, without)).toBe('home')
      const plain = homeOf('clear')
      const [plainMessage, plainAnswer] = await ask(plain, '1.1')
      expect(objectionTo('clear', plain, plainMessage, plainAnswer)).toBe('none')
      expect(objectionTo('clear', plain, plainMessage, withNsId(plainAnswer))).toBe('home')
      const stranger = { ...message, SenderID: idOf('helium') }
      const given = changed(answer, (text) => text.replace(/"ReceiverID":"[^"]*"/, `"ReceiverID":"${idOf('helium')}"`))
      expect(objectionTo('helium', home, stranger, given)).toBe('false_success')
      expect(objectionTo('helium', home, stranger, await parties.ask('helium', stranger))).toBe('none')
    })

    test('a status that says busy to who reads it, and one for a message that is too large to wait', async () => {
      const device = parties.device(isPlain)
      const large: Message = { ...joinOf('asynchronous', device), Note: 'x'.repeat(4096) }
      const refused = await parties.askDirectly('asynchronous', bodyOf(large))
      expect(objectionTo('asynchronous', device, large, refused)).toBe('none')
      expect(objectionTo('asynchronous', device, large, { ...refused, status: 200 })).toBe('http_status')
      expect(objectionTo('clear', device, { ...large, SenderID: idOf('clear') }, refused)).toBe('http_status')
      expect([busyStatus({ posted: true }), busyStatus({ posted: false })]).toEqual([503, 200])
      expect(objection(() => checkAnswer(parties.scanner, refused, busyStatus({ posted: true })))).toBe('none')
      expect(objection(() => checkAnswer(parties.scanner, refused, busyStatus({ posted: false })))).toBe('http_status')
    })

    test('an answer in the response that is to be posted, none at all, and one that nobody waits for', async () => {
      const device = parties.device(isPlain)
      const message = joinOf('asynchronous', device)
      const { inbox } = parties.world
      const { header, posted } = parties.expected('asynchronous', message, undefined)
      if (header === undefined) throw new Error('no header')
      expect(posted).toBe(true)
      expect(parties.expected('clear', message, undefined).posted).toBe(false)
      const answer = await parties.ask('asynchronous', message)
      expect(objection(() => isAcknowledgement(answer))).toBe('not_posted')
      expect(isAcknowledgement({ ...answer, body: Buffer.alloc(0) })).toBe(true)
      expect(objection(() => isAcknowledgement({ ...answer, status: 503, body: Buffer.alloc(0) }))).toBe('not_posted')
      expect(await objectionToLater(inbox.expect(header, 20).answer)).toBe('no_answer')
      expect(inbox.complaint).toBeUndefined()
      const { answer: second } = inbox.expect(header, 10_000)
      isAcknowledgement(await parties.askDirectly('asynchronous', bodyOf(message)))
      expect(objectionTo('asynchronous', device, message, await second)).toBe('none')
      inbox.take(answer.body, 'application/json')
      expect(inbox.complaint).toContain('JoinAns')
    })
  })
}
