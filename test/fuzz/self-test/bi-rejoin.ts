import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rejoinRequest, type RejoinType } from '../air-requests.ts'
import { DeviceModel } from '../bi/device-model.ts'
import { judge, type Verdict } from '../bi/judge.ts'
import { joinReq, type Message, rejoinReqWith } from '../bi/messages.ts'
import { idOf } from '../bi/peers.ts'
import type { EnrolledDevice } from '../bi/devices.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { Random } from '../random.ts'
import { BiParties, changed, flippedKey, flippedText } from './bi-parties.ts'
import { objection } from './objection.ts'

const SEED = 0x4e701
const TYPES: readonly RejoinType[] = [0, 1, 2]
const FIRST_COUNT = 7

/** Real answers to rejoin-requests, of which one thing is made wrong. */
export function describeRejoinOracle(): void {
  describe('the oracle of rejoins', () => {
    const random = new Random(SEED)
    let parties: BiParties
    beforeAll(async () => {
      parties = await BiParties.create(SEED)
    })
    afterAll(() => parties[Symbol.asyncDispose]())

    const speaks11 = ({ nwkKey, networks, applicationServers, networkIsApplicationServer }: EnrolledDevice): boolean =>
      nwkKey !== undefined &&
      networks.length > 1 &&
      applicationServers[0] === 'doors.example' &&
      !networkIsApplicationServer
    const rejoin = (device: EnrolledDevice, type: RejoinType, count = FIRST_COUNT): Message => {
      const frame = rejoinRequest(device, { type, netId: idOf('clear'), count, mic: Buffer.alloc(4, 5) })
      return { ...rejoinReqWith(random, device, 'clear', frame), ProtocolVersion: '1.1' }
    }
    const judged = (model: DeviceModel, message: Message, answer: HttpAnswer): Verdict =>
      judge(parties.scanner, parties.expected('clear', message, model), answer)
    const objectionTo = (model: DeviceModel, message: Message, answer: HttpAnswer): string =>
      objection(() => judged(model, message, answer))
    /** A device of 1.1 that has joined, and the models that say so. */
    const joined = async (): Promise<{ device: EnrolledDevice; model: () => DeviceModel }> => {
      const device = parties.device(speaks11)
      const message = joinReq(random, device, 'clear', 1)
      const answer = await parties.ask('clear', message)
      return {
        device,
        model: () => {
          const model = new DeviceModel(device)
          judged(model, message, answer)
          return model
        },
      }
    }

    test.each(TYPES)('takes the real answer to type %i, and its repetition', async (type) => {
      const { device, model } = await joined()
      const message = rejoin(device, type)
      const known = model()
      const answer = await parties.ask('clear', message)
      expect(judged(known, message, answer)).toMatchObject({ code: 'Success', joined: { joinNonce: 2 } })
      const again = { ...message, TransactionID: 12 }
      expect(objectionTo(known, again, await parties.ask('clear', again))).toBe('none')
      const next = { ...message, DevAddr: '01020304' }
      const verdict = judged(known, next, await parties.ask('clear', next))
      expect(verdict.code).toBe(type === 1 ? 'FrameReplayed' : 'Success')
    })

    test.each(TYPES)('another join-accept, key, SessionKeyID or JoinNonce for type %i', async (type) => {
      const { device, model } = await joined()
      const message = rejoin(device, type)
      const answer = await parties.ask('clear', message)
      expect(objectionTo(model(), message, flippedText(answer, 'PHYPayload'))).toBe('join_accept')
      for (const name of ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey'])
        expect(objectionTo(model(), message, flippedKey(answer, name))).toBe('network_key')
      expect(objectionTo(model(), message, flippedKey(answer, 'AppSKey'))).toBe('app_s_key')
      expect(objectionTo(model(), message, flippedText(answer, 'SessionKeyID'))).toBe('session_key_id')
      const ahead = model()
      const last = ahead.last
      if (last === undefined) throw new Error('no join')
      ahead.accept({ ...last, joinNonce: 2 })
      expect(objectionTo(ahead, message, answer)).toBe('join_nonce')
      const repeated = model()
      const { joined: first } = judged(repeated, message, answer)
      if (first === undefined) throw new Error('no rejoin')
      repeated.accept({ ...first, answer: 'another' })
      expect(objectionTo(repeated, message, answer)).toBe('other_answer')
    })

    test('the answer to another type, another RJcount, or to the join', async () => {
      const { device, model } = await joined()
      const message = rejoin(device, 1)
      const answer = await parties.ask('clear', message)
      const parameters = { ...message, TransactionID: 5 }
      const asked = (frame: Message): Message => ({ ...parameters, PHYPayload: frame['PHYPayload'] })
      const given = changed(answer, (text) => text.replace(/"TransactionID":\d+/, '"TransactionID":5'))
      expect(objectionTo(model(), asked(rejoin(device, 1)), given)).toBe('none')
      for (const type of [0, 2] as const)
        expect(objectionTo(model(), asked(rejoin(device, type)), given)).toBe('join_accept')
      expect(objectionTo(model(), asked(rejoin(device, 1, FIRST_COUNT + 1)), given)).toBe('join_accept')
      const join = { ...asked(joinReq(random, device, 'clear', FIRST_COUNT)), MessageType: 'JoinReq' }
      const asJoin = changed(given, (text) => text.replace('RejoinAns', 'JoinAns'))
      expect(objectionTo(model(), join, asJoin)).toBe('join_accept')
    })

    test('a Success for a wrong MIC, a used RJcount1, no OptNeg, another type, another size, another network', async () => {
      const { device, model } = await joined()
      const message = rejoin(device, 1)
      const answer = await parties.ask('clear', message)
      const frame = rejoinRequest(device, { type: 1, netId: '', count: FIRST_COUNT, mic: Buffer.alloc(0) }).toString(
        'hex',
      )
      const zero = rejoinRequest(device, { type: 0, netId: '000013', count: FIRST_COUNT, mic: Buffer.alloc(4) })
      const spoilt: Message[] = [
        { PHYPayload: frame.slice(0, -1) + (frame.endsWith('0') ? '1' : '0') },
        { DLSettings: '7f' },
        { PHYPayload: `c003${frame.slice(4)}` },
        { PHYPayload: `c000${frame.slice(4)}` },
        { PHYPayload: `c001${zero.toString('hex', 2)}` },
        { PHYPayload: `00${frame.slice(2)}` },
        { PHYPayload: `${frame}00` },
        { SenderID: idOf('wrapped') },
        { MessageType: 'JoinReq' },
      ]
      for (const change of spoilt)
        expect(objectionTo(model(), { ...message, ...change }, answer), JSON.stringify(change)).toBe('false_success')
      const known = model()
      expect(objectionTo(known, message, answer)).toBe('none')
      expect(objectionTo(known, { ...message, DevAddr: '00000001' }, answer)).toBe('false_success')
      expect(objectionTo(known, rejoin(device, 1, FIRST_COUNT - 1), answer)).toBe('false_success')
    })

    test('a Success for who never joined, for a device of 1.0, for the JoinEUI of another', async () => {
      const { device, model } = await joined()
      const message = rejoin(device, 0)
      const answer = await parties.ask('clear', message)
      expect(objectionTo(new DeviceModel(device), message, answer)).toBe('false_success')
      expect(objectionTo(model(), { ...message, ReceiverID: '70b3d57ed0000001' }, answer)).toBe('false_success')
      const old = { ...device, nwkKey: undefined, macVersion: '1.0.4' } as const
      const oldModel = new DeviceModel(old)
      const last = model().last
      if (last === undefined) throw new Error('no join')
      oldModel.accept(last)
      expect(objectionTo(oldModel, message, answer)).toBe('false_success')
      expect(objectionTo(model(), message, answer)).toBe('none')
    })

    test.each([0, 2] as const)('a Success for type %i from a network that has not the session', async (type) => {
      const { device, model } = await joined()
      const message = rejoin(device, type)
      const answer = await parties.ask('clear', message)
      const elsewhere = model()
      const { last } = elsewhere
      if (last === undefined) throw new Error('no join')
      elsewhere.accept({ ...last, identity: 'another', netId: idOf('wrapped') })
      expect(objectionTo(elsewhere, message, answer)).toBe('false_success')
      expect(objectionTo(model(), message, answer)).toBe('none')
    })

    test('a refusal of what is valid, and a code that is not the one', async () => {
      const never = parties.device(speaks11)
      const message = rejoin(never, 2)
      const refused = await parties.ask('clear', message)
      expect(objectionTo(new DeviceModel(never), message, refused)).toBe('none')
      const otherCode = changed(refused, (text) => text.replace('JoinReqFailed', 'MICFailed'))
      expect(objectionTo(new DeviceModel(never), message, otherCode)).toBe('code')
      const { model } = await joined()
      const known = model()
      expect(objectionTo(known, rejoin(known.device, 2), refused)).toBe('code')
    })
  })
}
