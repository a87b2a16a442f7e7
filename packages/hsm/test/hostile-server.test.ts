import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeReleaseAppSKey } from '../src/contract/app-s-key.ts'
import { encodeFrame, FRAME } from '../src/contract/frames.ts'
import { decodeJoinAnswer, encodeJoinCommand, encodeVerifyJoinRequest, type JoinCommand } from '../src/contract/join.ts'
import {
  type AppliedOrder,
  type ApplyOrderCommand,
  decodeAppliedOrder,
  encodeAcknowledgeOrder,
  encodeApplyOrder,
} from '../src/contract/order.ts'
import { encodeHello } from '../src/contract/session.ts'
import { decodeDeviceRecord, encodeDeviceRecord } from '../src/records/device-record.ts'
import { decodeKekRecord, encodeKekRecord } from '../src/records/kek-record.ts'
import { decodeSessionRecord, encodeSessionRecord } from '../src/records/session-record.ts'
import type { DevicePolicy } from '../src/orders/order.ts'
import { orderText } from '../src/orders/sign-order.ts'
import { aesCmac, keyUnwrap } from './soft/crypto-oracle.ts'
import { NET_ID, OTHER_NET_ID } from './support/device.ts'
import { HsmProcess, type RawConnection, until } from './support/hsm-process.ts'
import { newId, Operator } from './support/operator.ts'
import { bitFlips, flipBit } from './support/refusal.ts'
import { AS_ID, type Enrolled, joinCommand, plainChange, Scene, type TestKek } from './support/scene.ts'
import { BACKENDS, TestHsm } from './support/test-hsm.ts'

const POLICY: DevicePolicy = { applicationServers: [AS_ID], networkIsApplicationServer: false, networks: [NET_ID] }
const RECORD_CODES = [
  'record_malformed',
  'record_format_unsupported',
  'record_type_mismatch',
  'storage_key_unknown',
  'record_tag_mismatch',
]

/**
 * Somebody has taken over the server: the socket and the database are theirs. Every attack stands beside the same request
 * as an honest server makes it, which is accepted.
 */
describe.each(BACKENDS)('a hostile server, %s', (backend) => {
  let hsm: TestHsm
  let processes: HsmProcess
  let attacker: RawConnection
  let scene: Scene
  let device: Enrolled
  let device11: Enrolled
  let ns: TestKek
  let as: TestKek

  beforeAll(async () => {
    hsm = new TestHsm(backend)
    processes = await HsmProcess.start(hsm)
    attacker = await processes.rawConnection()
    scene = new Scene(hsm.operator, apply)
    device = await scene.enrol('1.0.3')
    device11 = await scene.enrol('1.1.0')
    ns = await scene.kek('ns', NET_ID)
    as = await scene.kek('as', AS_ID)
  })
  afterAll(async () => {
    await processes[Symbol.asyncDispose]()
    hsm[Symbol.dispose]()
  })

  async function answer(type: number, payload: Buffer): Promise<Buffer> {
    const frame = await attacker.ask(type, payload)
    if (frame.type === FRAME.refused) throw new Error(`refused: ${frame.payload.toString('latin1')}`)
    return frame.payload
  }
  const join = (command: JoinCommand) => attacker.code(FRAME.answerJoin, encodeJoinCommand(command))
  async function apply(command: ApplyOrderCommand): Promise<AppliedOrder> {
    const applied = decodeAppliedOrder(await answer(FRAME.applyOrder, encodeApplyOrder(command)))
    acknowledgeOrders()
    return applied
  }
  async function order(command: ApplyOrderCommand): Promise<string> {
    const code = await attacker.code(FRAME.applyOrder, encodeApplyOrder(command))
    if (code === 'accepted') acknowledgeOrders()
    return code
  }
  function acknowledgeOrders(): void {
    const { signer, sequence } = hsm.operator
    attacker.write(encodeFrame(FRAME.acknowledgeOrder, 0, encodeAcknowledgeOrder(signer, sequence)))
  }
  const release = (enrolled: Enrolled, sessionRecord: Buffer, kek: Buffer) =>
    attacker.code(
      FRAME.releaseAppSKey,
      encodeReleaseAppSKey({ deviceRecord: enrolled.record, sessionRecord, asKekRecord: kek }),
    )
  const session = async (enrolled: Enrolled, devNonce: number) =>
    decodeJoinAnswer(await answer(FRAME.answerJoin, encodeJoinCommand(joinCommand(enrolled, devNonce)))).sessionRecord
  /** The attacker has no binding key; this is the best that can be done without. */
  const forgedTag = (message: Uint8Array) => aesCmac(Buffer.alloc(32), Buffer.from(message))

  async function expectRefused(attack: JoinCommand, code: string, twin: JoinCommand): Promise<void> {
    expect(await join(attack)).toBe(code)
    expect(await join(twin)).toBe('accepted')
  }

  describe('and the records', () => {
    test('every bit of a device, NS KEK and AS KEK record is covered', async () => {
      const honest = joinCommand(device11, 1, { ns, as })
      const seen = new Set<string>()
      for (const member of ['deviceRecord', 'nsKekRecord', 'asKekRecord'] as const)
        for (const { bit, flipped } of bitFlips(honest[member] ?? Buffer.alloc(0))) {
          const code = await join({ ...honest, [member]: flipped })
          expect(RECORD_CODES, `${member} bit ${bit}: ${code}`).toContain(code)
          seen.add(code)
        }
      expect([...seen].sort()).toEqual([...RECORD_CODES].sort())
      expect(await join(honest)).toBe('accepted')
    })

    test('every bit of a session record is covered', async () => {
      const honest = await session(device, 2)
      for (const { bit, flipped } of bitFlips(honest))
        expect(RECORD_CODES, `bit ${bit}`).toContain(await release(device, flipped, as.record))
      expect(await release(device, honest, as.record)).toBe('accepted')
    })

    test('key blobs cannot be swapped between records', async () => {
      const [mine, other] = [decodeDeviceRecord(device.record), decodeDeviceRecord(device11.record)]
      const swapped = encodeDeviceRecord({ ...mine, appKey: other.appKey }, mine.deviceId.subarray(0, 8), forgedTag)
      device.record.copy(swapped, 6, 6, 14)
      const honest = joinCommand(device, 3, { as })
      await expectRefused({ ...honest, deviceRecord: swapped }, 'record_tag_mismatch', honest)
      const rootUse = device.record.indexOf(mine.appKey.rootUse)
      const escrow = Buffer.from(device.record)
      mine.appKey.escrow.copy(escrow, rootUse)
      await expectRefused({ ...honest, deviceRecord: escrow }, 'record_tag_mismatch', honest)
      const kek = Buffer.from(as.record)
      decodeKekRecord(ns.record).blob.copy(kek, kek.indexOf(decodeKekRecord(as.record).blob))
      await expectRefused({ ...honest, asKekRecord: kek }, 'record_tag_mismatch', honest)
    })

    test('a record of one type is none of another', async () => {
      const honest = joinCommand(device, 4, { ns, as })
      await expectRefused({ ...honest, deviceRecord: as.record }, 'record_type_mismatch', honest)
      await expectRefused({ ...honest, asKekRecord: device.record }, 'record_type_mismatch', honest)
      const sessionRecord = await session(device, 4)
      await expectRefused({ ...honest, asKekRecord: sessionRecord }, 'record_type_mismatch', honest)
      expect(await release(device, device.record, as.record)).toBe('record_type_mismatch')
      expect(await release(device, sessionRecord, as.record)).toBe('accepted')
    })

    test('the record of another HSM is not known here', async () => {
      const foreign = Buffer.from(device.record)
      randomBytes(8).copy(foreign, 6)
      const honest = joinCommand(device, 5)
      await expectRefused({ ...honest, deviceRecord: foreign }, 'storage_key_unknown', honest)
    })

    test('an older device record is no way back after device.set and device.remove', async () => {
      const enrolled = await scene.enrol('1.0.4')
      const honest = joinCommand(enrolled, 1, { as })
      expect(await join(honest)).toBe('accepted')
      const set = {
        action: 'device.set',
        ...enrolled.device.reference(1),
        ...POLICY,
        applicationServers: [],
      } as const
      const applied = await apply(hsm.operator.order([set], [], [enrolled.record]))
      const newer = applied.changes[0]!.record!
      expect(await join(honest)).toBe('record_superseded')
      expect(await join({ ...honest, deviceRecord: newer })).toBe('recipient_not_allowed')
      expect(await join({ ...honest, deviceRecord: newer, asKekRecord: undefined })).toBe('accepted')
      const remove = { action: 'device.remove', ...enrolled.device.reference(2) } as const
      expect(await order(hsm.operator.order([remove], [], [enrolled.record]))).toBe('record_superseded')
      expect(await order(hsm.operator.order([remove], [], [newer]))).toBe('accepted')
      expect(await join({ ...honest, deviceRecord: newer, asKekRecord: undefined })).toBe('record_superseded')
      const add = enrolled.device.add(scene.owner, POLICY)
      expect(await order(hsm.operator.order([add], enrolled.device.keys))).toBe('order_version_mismatch')
    })

    test('an open KEK is closed by kek.remove', async () => {
      const kek = await scene.kek('as', AS_ID)
      const attack = joinCommand(device, 6, { as: kek })
      expect(await join(attack)).toBe('accepted')
      expect(await order(hsm.operator.order([kek.remove], [], [kek.record]))).toBe('accepted')
      await expectRefused(attack, 'record_superseded', joinCommand(device, 6, { as }))
    })
  })

  describe('and the recipients', () => {
    test('a KEK record of its own making', async () => {
      const genuine = decodeKekRecord(as.record)
      const own = encodeKekRecord({ ...genuine, kekId: randomBytes(16) }, as.record.subarray(6, 14), forgedTag)
      const honest = joinCommand(device, 7, { as })
      await expectRefused({ ...honest, asKekRecord: own }, 'record_tag_mismatch', honest)
      const untagged = Buffer.concat([own.subarray(0, -16), as.record.subarray(-16)])
      await expectRefused({ ...honest, asKekRecord: untagged }, 'record_tag_mismatch', honest)
    })

    test.each(['network', 'application'] as const)('a KEK of the other kind for the %s', async (where) => {
      const honest = joinCommand(device, 8, { ns, as })
      const attack = where === 'network' ? { ...honest, nsKekRecord: as.record } : { ...honest, asKekRecord: ns.record }
      await expectRefused(attack, 'kek_kind_mismatch', honest)
    })

    test('an application server that the device record does not name, and another owner', async () => {
      const stranger = await scene.kek('as', 'stranger')
      const othersKek = await scene.kek('as', AS_ID, 16, newId())
      const othersNsKek = await scene.kek('ns', NET_ID, 16, newId())
      const honest = joinCommand(device, 9, { ns, as })
      await expectRefused({ ...honest, asKekRecord: stranger.record }, 'recipient_not_allowed', honest)
      await expectRefused({ ...honest, asKekRecord: othersKek.record }, 'owner_mismatch', honest)
      await expectRefused({ ...honest, nsKekRecord: othersNsKek.record }, 'owner_mismatch', honest)
      const sessionRecord = await session(device, 9)
      expect(await release(device, sessionRecord, stranger.record)).toBe('recipient_not_allowed')
      expect(await release(device, sessionRecord, othersKek.record)).toBe('owner_mismatch')
      expect(await release(device, sessionRecord, ns.record)).toBe('kek_kind_mismatch')
      expect(await release(device, sessionRecord, as.record)).toBe('accepted')
    })

    test('the AppSKey for the network, without the owner’s word', async () => {
      const allowed = await scene.enrol('1.0.3', { networkIsApplicationServer: true })
      const attack = { ...joinCommand(device, 10), appSKeyToNetwork: 'likeNetworkKeys' as const }
      const twin = { ...joinCommand(allowed, 10), appSKeyToNetwork: 'likeNetworkKeys' as const }
      await expectRefused(attack, 'recipient_not_allowed', twin)
      await expectRefused({ ...attack, nsKekRecord: ns.record }, 'recipient_not_allowed', {
        ...twin,
        nsKekRecord: ns.record,
      })
      const clear = { appSKeyToNetwork: 'clear' as const }
      await expectRefused({ ...attack, ...clear }, 'recipient_not_allowed', { ...twin, ...clear })
      await expectRefused({ ...twin, asKekRecord: as.record }, 'recipient_not_allowed', twin)
      const both = await scene.enrol('1.0.3', { networkIsApplicationServer: true, applicationServers: [AS_ID] })
      const twice = { ...joinCommand(both, 10, { as }), appSKeyToNetwork: 'likeNetworkKeys' as const }
      await expectRefused(twice, 'join_parameters_invalid', { ...twice, appSKeyToNetwork: 'no' })
    })

    test('what it gets under a KEK opens with that KEK alone', async () => {
      const command = joinCommand(device, 11, { ns, as })
      const got = decodeJoinAnswer(await answer(FRAME.answerJoin, encodeJoinCommand(command)))
      expect(keyUnwrap(as.value, got.appSKey!)).toEqual(device.device.expect(11, command).appSKey)
      expect(() => keyUnwrap(ns.value, got.appSKey!)).toThrow()
    })
  })

  describe('and the network', () => {
    test('a NetID that the device record does not allow, or that is not the KEK’s', async () => {
      const honest = joinCommand(device, 12, { ns })
      const netId = Buffer.from(OTHER_NET_ID, 'hex')
      await expectRefused({ ...honest, netId }, 'network_not_allowed', honest)
      await expectRefused({ ...honest, netId, nsKekRecord: undefined }, 'network_not_allowed', honest)
      const both = await scene.enrol('1.0.3', { networks: [NET_ID, OTHER_NET_ID] })
      const roaming = joinCommand(both, 12, { ns })
      await expectRefused({ ...roaming, netId }, 'kek_recipient_mismatch', roaming)
      expect(await join({ ...roaming, netId, nsKekRecord: undefined })).toBe('accepted')
    })
  })

  describe('and the frame on air', () => {
    test('every bit of a join-request', async () => {
      const honest = joinCommand(device11, 13)
      for (const { bit, flipped } of bitFlips(honest.phyPayload)) {
        const code = bit < 8 ? 'join_request_malformed' : bit < 17 * 8 ? 'eui_mismatch' : 'mic_mismatch'
        expect(await join({ ...honest, phyPayload: flipped }), `bit ${bit}`).toBe(code)
        const question = encodeVerifyJoinRequest({ deviceRecord: device11.record, phyPayload: flipped })
        expect(await attacker.code(FRAME.verifyJoinRequest, question), `bit ${bit}`).toBe(code)
      }
      expect(await join(honest)).toBe('accepted')
      expect(await attacker.code(FRAME.verifyJoinRequest, encodeVerifyJoinRequest(honest))).toBe('accepted')
    })

    test('EUIs swapped, another device’s frame, another length', async () => {
      const honest = joinCommand(device, 14)
      const { phyPayload } = honest
      const euis = Buffer.concat([
        phyPayload.subarray(0, 1),
        phyPayload.subarray(9, 17),
        phyPayload.subarray(1, 9),
        phyPayload.subarray(17),
      ])
      await expectRefused({ ...honest, phyPayload: euis }, 'eui_mismatch', honest)
      await expectRefused({ ...honest, phyPayload: device11.device.joinRequest(14) }, 'eui_mismatch', honest)
      for (const length of [0, 22, 24])
        await expectRefused({ ...honest, phyPayload: Buffer.alloc(length) }, 'join_request_malformed', honest)
    })

    test.each([
      ['JoinNonce 0', { joinNonce: 0 }, { joinNonce: 1 }],
      ['JoinNonce 2^24', { joinNonce: 2 ** 24 }, { joinNonce: 2 ** 24 - 1 }],
      ['RxDelay 16', { rxDelay: 16 }, { rxDelay: 15 }],
      ['a short CFList', { cfList: Buffer.alloc(15) }, { cfList: Buffer.alloc(16) }],
    ])('%s', async (_name, attack, twin) => {
      await expectRefused(
        joinCommand(device, 15, {}, attack),
        'join_parameters_invalid',
        joinCommand(device, 15, {}, twin),
      )
    })
  })

  describe('and the sessions', () => {
    test('of another device, and one of its own making', async () => {
      const foreign = await session(device11, 16)
      expect(await release(device, foreign, as.record)).toBe('session_of_other_device')
      expect(await release(device11, foreign, as.record)).toBe('accepted')
      const decoded = decodeSessionRecord(foreign)
      const own = encodeSessionRecord(
        { ...decoded, deviceId: Buffer.from(device.device.id, 'hex') },
        foreign.subarray(6, 14),
        forgedTag,
      )
      expect(await release(device, own, as.record)).toBe('record_tag_mismatch')
    })
  })

  describe('and the orders', () => {
    test('a replayed order', async () => {
      const command = hsm.operator.order([scene.kekSet('as', AS_ID)], [randomBytes(16)])
      const first = await attacker.ask(FRAME.applyOrder, encodeApplyOrder(command))
      // Until its outcome was acknowledged, the same order gives the same outcome, bit for bit.
      const second = await attacker.ask(FRAME.applyOrder, encodeApplyOrder(command))
      expect(second.payload).toEqual(first.payload)
      const later = hsm.operator.order([scene.kekSet('as', AS_ID)], [randomBytes(16)])
      expect(await order(later)).toBe('accepted')
      const skipped = {
        ...hsm.operator.draft([plainChange()]),
        sequence: hsm.operator.sequence - 1,
      }
      expect(await order(hsm.operator.sign(skipped))).toBe('order_replayed')
    })

    test('a sequence number or an epoch that would leave none for the operator', async () => {
      const plain = () => hsm.operator.draft([plainChange()])
      const far = { ...plain(), sequence: hsm.operator.sequence + 2_000_000 }
      expect(await order(hsm.operator.sign(far))).toBe('order_sequence_gap')
      expect(await order(hsm.operator.order([{ action: 'epoch.accept', epoch: 2 ** 40 }]))).toBe('order_malformed')
      expect(await order(hsm.operator.sign(plain()))).toBe('accepted')
    })

    test('an order for another HSM, of another key, of nobody, of two', async () => {
      const draft = hsm.operator.draft([plainChange()])
      const honest = hsm.operator.sign(draft)
      expect(await order(hsm.operator.sign({ ...draft, hsm: '0011223344556677' }))).toBe('order_for_other_hsm')
      const own = new Operator(generateKeyPairSync('ed25519').privateKey, hsm.created)
      const ownText = orderText({ ...draft, signer: own.signer.toString('hex') })
      expect(await order(own.signText(ownText))).toBe('order_signature_invalid')
      expect(await order(own.signText(honest.text))).toBe('order_signature_invalid')
      const named = { ...own.signText(honest.text).signatures[0]!, signer: hsm.operator.signer }
      expect(await order({ ...honest, signatures: [named] })).toBe('order_signature_invalid')
      expect(await order({ ...honest, signatures: [] })).toBe('order_signature_invalid')
      expect(await order({ ...honest, signatures: [...honest.signatures, ...honest.signatures] })).toBe(
        'order_signature_invalid',
      )
      expect(await order(hsm.operator.sign({ ...draft, signer: own.signer.toString('hex') }))).toBe(
        'order_signature_invalid',
      )
      expect(await order(honest)).toBe('accepted')
    })

    test('every byte of an order’s text, and every bit of its signature', async () => {
      const honest = hsm.operator.order([scene.kekSet('ns', NET_ID)], [randomBytes(16)])
      for (let at = 0; at < honest.text.length; at++)
        expect(await order({ ...honest, text: flipBit(honest.text, 8 * at + 7) })).toBe('order_signature_invalid')
      const [signed] = honest.signatures
      for (let bit = 0; bit < 512; bit += 3)
        expect(
          await order({ ...honest, signatures: [{ ...signed!, signature: flipBit(signed!.signature, bit) }] }),
        ).toBe('order_signature_invalid')
      expect(await order(honest)).toBe('accepted')
    })

    test('another envelope, a changed one, none, one that nobody asked for', async () => {
      const change = scene.kekSet('as', AS_ID)
      const honest = hsm.operator.order([change], [randomBytes(16)])
      const own = hsm.operator.seal([randomBytes(16)])
      expect(await order({ ...honest, envelope: own })).toBe('envelope_damaged')
      expect(await order({ ...honest, envelope: flipBit(honest.envelope!, 999) })).toBe('envelope_damaged')
      expect(await order({ ...honest, envelope: undefined })).toBe('envelope_damaged')
      expect(await order(honest)).toBe('accepted')
      const plain = hsm.operator.order([plainChange()])
      expect(await order({ ...plain, envelope: own })).toBe('envelope_damaged')
      expect(await order(plain)).toBe('accepted')
    })

    test.each(['transport', 'keys'] as const)(
      'an envelope whose %s were damaged before the operator signed',
      async (part) => {
        const sealed = JSON.parse(hsm.operator.seal([randomBytes(16)]).toString()) as {
          transport: string
          keys: string[]
        }
        const damage = (hex: string) => flipBit(Buffer.from(hex, 'hex'), 77).toString('hex')
        const damaged =
          part === 'keys'
            ? { ...sealed, keys: sealed.keys.map(damage) }
            : { ...sealed, transport: damage(sealed.transport) }
        const attempt = (envelope: Buffer) =>
          order(hsm.operator.sign(hsm.operator.draft([scene.kekSet('as', AS_ID)], envelope), envelope))
        expect(await attempt(Buffer.from(JSON.stringify(damaged)))).toBe('envelope_damaged')
        expect(await attempt(Buffer.from(JSON.stringify(sealed)))).toBe('accepted')
      },
    )

    test('the records that an order needs: none, another one, a changed one, one of the same id in another place', async () => {
      const kek = await scene.kek('as', AS_ID)
      const { remove } = kek
      const draft = () => hsm.operator.draft([remove])
      expect(await order(hsm.operator.sign(draft()))).toBe('order_record_missing')
      expect(await order(hsm.operator.sign(draft(), undefined, [as.record]))).toBe('order_record_missing')
      expect(await order(hsm.operator.sign(draft(), undefined, [flipBit(kek.record, 8 * 60)]))).toBe(
        'record_tag_mismatch',
      )
      expect(await order(hsm.operator.sign(draft(), undefined, [Buffer.alloc(40)]))).toBe('record_malformed')
      const wrongVersion = hsm.operator.draft([{ ...remove, replaces: 2 }])
      expect(await order(hsm.operator.sign(wrongVersion, undefined, [kek.record]))).toBe('order_version_mismatch')
      const twice = hsm.operator.draft([remove, remove])
      expect(await order(hsm.operator.sign(twice, undefined, [kek.record]))).toBe('order_malformed')
      for (const other of [{ kind: 'ns', recipient: NET_ID }, { recipient: 'x' }, { label: 'x' }] as const) {
        const misnamed = hsm.operator.draft([{ ...remove, ...other }])
        expect(await order(hsm.operator.sign(misnamed, undefined, [kek.record]))).toBe('order_record_mismatch')
      }
      expect(await order(hsm.operator.sign(draft(), undefined, [as.record, kek.record]))).toBe('accepted')
    })

    test('one device passed off as another', async () => {
      const [mine, other] = [await scene.enrol('1.0.3'), await scene.enrol('1.0.3')]
      const meant = { action: 'device.remove', ...mine.device.reference(1) } as const
      const misled = { ...meant, device: other.device.id }
      expect(await order(hsm.operator.order([misled], [], [other.record]))).toBe('order_record_mismatch')
      expect(await order(hsm.operator.order([meant], [], [mine.record]))).toBe('accepted')
      expect(await join(joinCommand(other, 1))).toBe('accepted')
    })

    test('a label that names another value', async () => {
      const change = scene.kekSet('as', AS_ID)
      expect(await order(hsm.operator.order([change], [randomBytes(16)]))).toBe('accepted')
      expect(await order(hsm.operator.order([{ ...change, kek: newId() }], [randomBytes(16)]))).toBe('label_in_use')
      // "as x:y" with label "z" is not "as x" with label "y:z".
      const one = { ...scene.kekSet('as', 'x:y'), label: 'z' }
      const two = { ...scene.kekSet('as', 'x'), label: 'y:z' }
      expect(await order(hsm.operator.order([one], [randomBytes(16)]))).toBe('accepted')
      expect(await order(hsm.operator.order([two], [randomBytes(16)]))).toBe('accepted')
    })
  })

  describe('and the socket', () => {
    test('frames of unknown types, of the other direction, without a payload', async () => {
      const known: readonly number[] = [FRAME.acknowledgeOrder, FRAME.acknowledgeReceipts]
      for (let type = 0; type < 256; type++)
        if (!known.includes(type))
          expect(await attacker.code(type, Buffer.alloc(0)), `type ${type}`).toMatch(
            /^(frame|order)_malformed$|^frame_malformed$/,
          )
      expect(await join(joinCommand(device, 20))).toBe('accepted')
    })

    test('every truncation of a join, and bytes behind it', async () => {
      const honest = encodeJoinCommand(joinCommand(device, 21, { ns, as }))
      for (let length = 0; length < honest.length; length++)
        expect(await attacker.code(FRAME.answerJoin, honest.subarray(0, length)), `${length} bytes`).toBe(
          'frame_malformed',
        )
      expect(await attacker.code(FRAME.answerJoin, Buffer.concat([honest, Buffer.of(0)]))).toBe('frame_malformed')
      expect(await attacker.code(FRAME.answerJoin, honest)).toBe('accepted')
    })

    test('anything before hello, and a second hello with another epoch', async () => {
      const other = await processes.rawConnection('no hello')
      const honest = encodeJoinCommand(joinCommand(device, 22))
      expect(await other.code(FRAME.answerJoin, honest)).toBe('frame_malformed')
      expect(await other.code(FRAME.hello, encodeHello({ knownEpoch: 0 }))).toBe('accepted')
      expect(await other.code(FRAME.hello, encodeHello({ knownEpoch: 0 }))).toBe('frame_malformed')
      expect(await other.code(FRAME.answerJoin, honest)).toBe('accepted')
    })

    test.each([
      ['a length of 0', Buffer.alloc(4)],
      ['a length beyond the limit', Buffer.from('7fffffff', 'hex')],
      ['another protocol version', Buffer.from('00000006' + '02' + '03' + '00000001', 'hex')],
      ['noise', randomBytes(65_536)],
    ])('a stream that cannot be cut into frames: %s', async (_name, bytes) => {
      const other = await processes.rawConnection()
      other.write(bytes)
      const honest = encodeFrame(FRAME.answerJoin, 1, encodeJoinCommand(joinCommand(device, 23)))
      other.write(honest)
      expect(await other.code(FRAME.answerJoin, Buffer.alloc(0))).toBe('closed')
      expect(await join(joinCommand(device, 23))).toBe('accepted')
    })

    test('more connections than the workers take, and many that come and go', async () => {
      const many = await Promise.all(Array.from({ length: 60 }, () => processes.rawConnection('no hello')))
      const codes = await Promise.all(many.map((one) => one.code(FRAME.hello, encodeHello({ knownEpoch: 0 }))))
      expect(codes.filter((code) => code === 'accepted').length).toBeLessThanOrEqual(32)
      expect(codes).toContain('closed')
      for (const one of many) one.close()
      for (let i = 0; i < 300; i++) (await processes.rawConnection('no hello')).close()
      await until(async () => {
        const after = await processes.rawConnection('no hello')
        return (await after.code(FRAME.hello, encodeHello({ knownEpoch: 0 }))) === 'accepted'
      })
      expect(await join(joinCommand(device, 24))).toBe('accepted')
    })
  })
})
