import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { joinRequest, rejoinRequest, type RejoinType } from '../air-requests.ts'
import { CODES, checkFrame, checkJoin, settle } from '../hsm/check-answer.ts'
import { encodeJoin, type JoinMembers } from '../hsm/commands.ts'
import { prefixed } from '../hsm/cursor.ts'
import { type AcceptedJoin, type Expected, expectJoin, expectVerify } from '../hsm/expect.ts'
import type { Frame } from '../hsm/frames.ts'
import type { KnownDevice } from '../hsm/known-records.ts'
import { Link } from '../hsm/link.ts'
import { NET_ID } from '../hsm/scenery.ts'
import { HsmWorld } from '../hsm/world.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { objection } from './objection.ts'

const TYPES: readonly RejoinType[] = [0, 1, 2]
const COUNT = 7
const JOIN_NONCE = 9
/** How `appSKeyToNetwork` crosses the socket. */
const DELIVERY = { no: 0, likeNetworkKeys: 1, clear: 2 } as const

/** Real answers of a real HSM process to rejoin-requests, and of AppSKeys for networks; each is made wrong in one way. */
export function describeHsmRejoinOracle(): void {
  describe('the oracle of the trust boundary, rejoins and AppSKeys for networks', () => {
    let world: HsmWorld
    let link: Link
    beforeAll(async () => {
      world = await HsmWorld.create('soft')
      link = await Link.open(world.processes.serverSocket)
    })
    afterAll(async () => {
      link.close()
      await world[Symbol.asyncDispose]()
    })

    const device = (wanted: (device: KnownDevice) => boolean): KnownDevice => {
      const found = world.records.devices.find((known) => known.current && known.networks.length > 0 && wanted(known))
      if (found === undefined) throw new Error('no such device')
      return found
    }
    const of11 = (): KnownDevice =>
      device((known) => known.device.nwkKey !== undefined && !known.networkIsApplicationServer)
    const of10 = (): KnownDevice =>
      device((known) => known.device.nwkKey === undefined && !known.networkIsApplicationServer)
    const ownNetwork = (): KnownDevice =>
      device((known) => known.networkIsApplicationServer && known.device.nwkKey !== undefined)
    const kek = (kind: 'ns' | 'as'): Buffer => {
      const found = world.records.keks.find(
        (known) => known.kind === kind && known.current && known.owner === of11().owner,
      )
      if (found === undefined) throw new Error('no such KEK')
      return found.bytes
    }
    const rejoinOf = ({ device: facts }: KnownDevice, type: RejoinType, count = COUNT): Buffer =>
      rejoinRequest(facts, { type, netId: NET_ID, count, mic: Buffer.alloc(4, 3) })
    const command = (known: KnownDevice, frame: Buffer, change: Partial<JoinMembers> = {}): JoinMembers => ({
      ...{
        deviceRecord: known.bytes,
        frame,
        netId: Buffer.from(NET_ID, 'hex'),
        devAddr: Buffer.from('26011bda', 'hex'),
      },
      ...{ dlSettings: 0x83, rxDelay: 1, cfList: undefined, joinNonce: JOIN_NONCE, nsKek: undefined, asKek: undefined },
      flag: DELIVERY.no,
      ...change,
    })
    const ask = async (members: JoinMembers): Promise<Frame> => {
      const answer = await link.ask(FRAME.answerJoin, encodeJoin(members))
      if (answer === undefined) throw new Error('no answer')
      return answer
    }
    const expected = (members: JoinMembers): Expected<AcceptedJoin> => expectJoin(world.records, encodeJoin(members))
    const objectionTo = (members: JoinMembers, answer: Frame): string =>
      objection(() => {
        const scanner = new SecretScanner(new Map())
        const accepted = settle(expected(members), checkFrame(scanner, answer), CODES.join)
        if (accepted !== undefined) checkJoin(answer, accepted)
      })

    test.each(TYPES)('takes the real answer to type %i, and none with a byte that differs', async (type) => {
      const members = command(of11(), rejoinOf(of11(), type), { nsKek: kek('ns'), asKek: kek('as') })
      const answer = await ask(members)
      expect(objectionTo(members, answer)).toBe('none')
      const recordAt = answer.payload.indexOf(Buffer.from('MORT')) - 4
      for (let at = 4; at < recordAt; at++) {
        const payload = Buffer.from(answer.payload)
        payload.writeUInt8(payload.readUInt8(at) ^ 1, at)
        expect(objectionTo(members, { ...answer, payload }), `byte ${at}`).not.toBe('none')
      }
      const payload = Buffer.from(answer.payload)
      payload.writeUInt8(payload.readUInt8(recordAt - 1) ^ 1, recordAt - 1)
      expect(objectionTo(members, { ...answer, payload })).toBe('session_key_id')
    })

    test('the answer to another type, another RJcount, or to the join', async () => {
      const answer = await ask(command(of11(), rejoinOf(of11(), 1)))
      expect(objectionTo(command(of11(), rejoinOf(of11(), 1)), answer)).toBe('none')
      const others = [
        rejoinOf(of11(), 0),
        rejoinOf(of11(), 2),
        rejoinOf(of11(), 1, 8),
        joinRequest(of11().device, COUNT),
      ]
      for (const frame of others) expect(objectionTo(command(of11(), frame), answer)).toBe('join_accept')
    })

    test('a Success for a wrong MIC, no OptNeg, a device of 1.0, another type, another size', async () => {
      const frame = rejoinOf(of11(), 1)
      const honest = command(of11(), frame)
      const answer = await ask(honest)
      const withByte = (at: number, value: number): Buffer => {
        const spoilt = Buffer.from(frame)
        spoilt[at] = value
        return spoilt
      }
      const spoilt: Partial<JoinMembers>[] = [
        { frame: withByte(23, (frame[23] ?? 0) ^ 1) },
        { frame: withByte(1, 3) },
        { frame: withByte(1, 0) },
        { frame: withByte(0, 0) },
        { frame: frame.subarray(1) },
        { frame: Buffer.concat([frame, Buffer.of(0)]) },
        { dlSettings: 0x03 },
        { deviceRecord: of10().bytes },
      ]
      for (const [index, change] of spoilt.entries()) {
        expect(objectionTo({ ...honest, ...change }, answer), `change ${index}`).toBe('false_success')
        expect(objectionTo({ ...honest, ...change }, await ask({ ...honest, ...change })), `change ${index}`).toBe(
          'none',
        )
      }
      const old = command(of10(), rejoinOf(of10(), 1))
      expect(objectionTo(old, answer)).toBe('false_success')
      expect(checkFrame(new SecretScanner(new Map()), await ask(old))).toBe('rejoin_unsupported')
      expect(objectionTo(old, await ask(old))).toBe('none')
    })

    test('a refusal of what is valid, and the code of a release', async () => {
      const honest = command(of11(), rejoinOf(of11(), 2))
      const refused = await ask(command(of10(), rejoinOf(of10(), 2)))
      expect(objectionTo(honest, refused)).toBe('false_refusal')
      expect(objection(() => settle('refused', 'rejoin_unsupported', CODES.join))).toBe('none')
      expect(objection(() => settle('refused', 'rejoin_unsupported', CODES.verify))).toBe('none')
      expect(objection(() => settle('refused', 'rejoin_unsupported', CODES.release))).toBe('code')
      expect(objection(() => settle('malformed', 'rejoin_unsupported', CODES.join))).toBe('code')
    })

    test('of a MIC alone: type 1 has one that counts, types 0 and 2 have none, and 1.0 has no rejoin', () => {
      const verify = (known: KnownDevice, frame: Buffer): string =>
        expectVerify(world.records, Buffer.concat([prefixed(known.bytes), prefixed(frame)]))
      const spoilt = (frame: Buffer): Buffer => Buffer.concat([frame.subarray(0, -4), Buffer.alloc(4)])
      expect(TYPES.map((type) => verify(of11(), rejoinOf(of11(), type)))).toEqual(['verified', 'verified', 'verified'])
      expect(TYPES.map((type) => verify(of11(), spoilt(rejoinOf(of11(), type))))).toEqual([
        ...['verified', 'refused', 'verified'],
      ])
      expect(TYPES.map((type) => verify(of10(), rejoinOf(of10(), type)))).toEqual(['refused', 'refused', 'refused'])
    })

    test('an AppSKey for a network: under its KEK, in clear, or for nobody, as it was asked', async () => {
      const of = (flag: number, nsKek: Buffer | undefined): JoinMembers =>
        command(ownNetwork(), rejoinOf(ownNetwork(), 0), { nsKek, flag })
      const commands = [
        of(DELIVERY.no, kek('ns')),
        of(DELIVERY.likeNetworkKeys, kek('ns')),
        of(DELIVERY.clear, kek('ns')),
        of(DELIVERY.likeNetworkKeys, undefined),
      ]
      const answers = await Promise.all(commands.map(ask))
      for (const [asked, members] of commands.entries())
        for (const [given, answer] of answers.entries()) {
          const objected = objectionTo(members, answer)
          // Without a KEK the network keys are others already.
          if (asked === given) expect(objected, `${asked}`).toBe('none')
          else expect(objected, `${asked} ${given}`).toBe(asked === 3 || given === 3 ? 'network_key' : 'app_s_key')
        }
    })

    test('an AppSKey in clear beside the one that is wrapped', async () => {
      const members = command(of11(), rejoinOf(of11(), 1), { nsKek: kek('ns'), asKek: kek('as') })
      const answer = await ask(members)
      const accepted = expected(members)
      if (accepted === 'malformed' || accepted === 'refused') throw new Error(accepted)
      const { session } = checkJoin(answer, accepted)
      const receiptAt = answer.payload.length - session.appSKey.length
      const payload = Buffer.concat([answer.payload.subarray(0, receiptAt), session.appSKey])
      expect(objectionTo(members, { ...answer, payload })).toBe('app_s_key_in_clear')
    })

    test('what no record allows to leave for a network, and a delivery that there is not', () => {
      const accepted = (members: JoinMembers): boolean => typeof expected(members) === 'object'
      for (const flag of [DELIVERY.likeNetworkKeys, DELIVERY.clear]) {
        expect(accepted(command(ownNetwork(), rejoinOf(ownNetwork(), 1), { flag }))).toBe(true)
        expect(expected(command(of11(), rejoinOf(of11(), 1), { flag }))).toBe('refused')
        const two = command(ownNetwork(), rejoinOf(ownNetwork(), 1), { flag, asKek: kek('as') })
        expect(expected(two)).toBe('refused')
        expect(accepted({ ...two, flag: DELIVERY.no })).toBe(true)
      }
      expect(expected(command(ownNetwork(), rejoinOf(ownNetwork(), 1), { flag: 3 }))).toBe('malformed')
    })
  })
}
