import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JoinAnswer, JoinCommand } from '../../src/contract/join.ts'
import { answerJoin, verifyJoinRequest } from '../../src/custody/answer-join.ts'
import { releaseAppSKey } from '../../src/custody/release-app-s-key.ts'
import type { Change } from '../../src/orders/order.ts'
import { decodeReceipt } from '../../src/receipts/receipt.ts'
import { decodeSessionRecord } from '../../src/records/session-record.ts'
import type { Token } from '../../src/token/token.ts'
import { keyUnwrap } from '../soft/crypto-oracle.ts'
import { Bench } from '../support/bench.ts'
import { type JoinParameters, NET_ID } from '../support/device.ts'
import { codeOf, flipBit } from '../support/refusal.ts'
import { AS_ID, type Enrolled, joinCommand, Scene, type TestKek } from '../support/scene.ts'
import { BACKENDS, TestHsm } from '../support/test-hsm.ts'

const CF_LIST = Buffer.from('184f84e85684b85e84886684586e8400', 'hex')

/** Counts what the token was asked to derive. */
function countingDerivations(token: Token, count: { derived: number }): Token {
  return new Proxy(token, {
    get(target, name) {
      if (name === 'derive') count.derived += 1
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? (member as (...args: unknown[]) => unknown).bind(target) : member
    },
  })
}

describe.each(BACKENDS)('joins inside the trust boundary, %s', (backend) => {
  const count = { derived: 0 }
  let hsm: TestHsm
  let bench: Bench
  let scene: Scene
  let ns: Record<16 | 24 | 32, TestKek>
  let as: Record<16 | 24 | 32, TestKek>

  beforeAll(async () => {
    hsm = new TestHsm(backend)
    bench = new Bench(hsm, (token) => countingDerivations(token, count))
    scene = new Scene(hsm.operator, (command) => bench.apply(command))
    const three = async (kind: 'ns' | 'as', recipient: string) => ({
      16: await scene.kek(kind, recipient, 16),
      24: await scene.kek(kind, recipient, 24),
      32: await scene.kek(kind, recipient, 32),
    })
    ns = await three('ns', NET_ID)
    as = await three('as', AS_ID)
  })
  afterAll(() => {
    bench[Symbol.dispose]()
    hsm[Symbol.dispose]()
  })

  function join(command: JoinCommand): JoinAnswer {
    return answerJoin(bench.custody, command)
  }

  /** Everything in the answer, held against what the device and lora-packet work out. */
  function expectAnswer(
    enrolled: Enrolled,
    devNonce: number,
    command: JoinCommand,
    keks: { ns?: TestKek | undefined; as?: TestKek | undefined },
  ): void {
    const answer = join(command)
    const expected = enrolled.device.expect(devNonce, command)
    expect(enrolled.device.decrypt(answer.phyPayload)).toEqual(expected.accept)
    const { ns: nsKek, as: asKek } = keks
    const opened = nsKek ? answer.networkKeys.map((key) => keyUnwrap(nsKek.value, key)) : answer.networkKeys
    expect(opened).toEqual(expected.networkKeys)
    const appSKeyKek = command.appSKeyToNetwork === 'likeNetworkKeys' ? nsKek : undefined
    if (command.appSKeyToNetwork !== 'no')
      expect(appSKeyKek && answer.appSKey ? keyUnwrap(appSKeyKek.value, answer.appSKey) : answer.appSKey).toEqual(
        expected.appSKey,
      )
    else
      expect(asKek && answer.appSKey ? keyUnwrap(asKek.value, answer.appSKey) : answer.appSKey).toEqual(
        asKek && expected.appSKey,
      )
    expect(decodeSessionRecord(answer.sessionRecord).sessionKeyId).toEqual(answer.sessionKeyId)
    // The same question gets the same answer; only the receipt is another one.
    const again = join(command)
    expect({ ...again, receipt: undefined }).toEqual({ ...answer, receipt: undefined })
    expect(decodeReceipt(again.receipt).sequence).toBe(decodeReceipt(answer.receipt).sequence + 1)
  }

  const versions = ['1.0.0', '1.0.1', '1.0.2', '1.0.3', '1.0.4', '1.1.0'] as const
  test.each(
    versions.flatMap(
      (version) =>
        [
          [version, 0x03, undefined],
          [version, 0x83, undefined],
          [version, 0x03, CF_LIST],
          [version, 0x83, CF_LIST],
        ] as const,
    ),
  )('answers a %s device with DLSettings %i, CFList %o', async (version, dlSettings, cfList) => {
    const enrolled = await scene.enrol(version)
    const parameters: Partial<JoinParameters> = { dlSettings, cfList, joinNonce: 0xfffffe, rxDelay: 15 }
    for (const keks of [{}, { ns: ns[16] }, { as: as[16] }, { ns: ns[16], as: as[16] }])
      expectAnswer(enrolled, 0xcc85, joinCommand(enrolled, 0xcc85, keks, parameters), keks)
  })

  test.each([16, 24, 32] as const)('wraps under KEKs of %i bytes', async (size) => {
    for (const version of ['1.0.3', '1.1.0'] as const) {
      const enrolled = await scene.enrol(version)
      const keks = { ns: ns[size], as: as[size] }
      expectAnswer(enrolled, 1, joinCommand(enrolled, 1, keks, { dlSettings: 0x80 }), keks)
    }
  })

  test('gives the network the AppSKey of a device whose record says so, in clear or under its KEK', async () => {
    for (const version of ['1.0.4', '1.1.0'] as const) {
      const enrolled = await scene.enrol(version, { networkIsApplicationServer: true })
      const inClear = joinCommand(enrolled, 7, {}, { dlSettings: 0x80 })
      const wrapped = { ...inClear, nsKekRecord: ns[32].record }
      const rows = [
        [{ ...inClear, appSKeyToNetwork: 'likeNetworkKeys' }, undefined, 'networkClear'],
        [{ ...wrapped, appSKeyToNetwork: 'likeNetworkKeys' }, ns[32], 'networkWrapped'],
        [{ ...wrapped, appSKeyToNetwork: 'clear' }, ns[32], 'networkClear'],
        [wrapped, ns[32], 'none'],
      ] as const
      for (const [command, nsKek, delivery] of rows) {
        expectAnswer(enrolled, 7, command, { ns: nsKek })
        expect(decodeReceipt(join(command).receipt).appSKey).toBe(delivery)
      }
    }
  })

  test.each([0, 1, 2] as const)('answers a rejoin of type %i', async (rejoinType) => {
    const enrolled = await scene.enrol('1.1.0')
    for (const cfList of [undefined, CF_LIST])
      for (const keks of [{}, { ns: ns[16], as: as[32] }]) {
        const parameters = { dlSettings: 0x83, cfList, joinNonce: 0xfffffe }
        const phyPayload = enrolled.device.rejoinRequest(rejoinType, 0xfffe)
        const command = { ...joinCommand(enrolled, 0, keks, parameters), phyPayload }
        const answer = join(command)
        const expected = enrolled.device.expectRejoin(rejoinType, 0xfffe, command)
        expect(enrolled.device.decrypt(answer.phyPayload, 'rejoin')).toEqual(expected.accept)
        const { ns: nsKek, as: asKek } = keks
        const opened = nsKek ? answer.networkKeys.map((key) => keyUnwrap(nsKek.value, key)) : answer.networkKeys
        expect(opened).toEqual(expected.networkKeys)
        expect(asKek && answer.appSKey && keyUnwrap(asKek.value, answer.appSKey)).toEqual(asKek && expected.appSKey)
        expect(decodeReceipt(answer.receipt).operation).toBe('answerRejoin')
      }
  })

  test('refuses a rejoin that no 1.1 device or network made', async () => {
    const enrolled = await scene.enrol('1.1.0')
    const older = await scene.enrol('1.0.4')
    const other = await scene.enrol('1.1.0')
    const command = (device: Enrolled, phyPayload: Buffer, dlSettings = 0x80): JoinCommand => ({
      ...joinCommand(device, 0, {}, { dlSettings }),
      phyPayload,
    })
    for (const type of [0, 1, 2] as const) {
      const frame = enrolled.device.rejoinRequest(type, 5)
      expect(codeOf(() => join(command(enrolled, frame)))).toBe('accepted')
      expect(codeOf(() => join(command(enrolled, frame, 0x03)))).toBe('join_parameters_invalid')
      expect(codeOf(() => join(command(other, frame)))).toBe('eui_mismatch')
      expect(codeOf(() => join(command(older, older.device.rejoinRequest(type, 5))))).toBe('rejoin_unsupported')
      expect(codeOf(() => join(command(enrolled, frame.subarray(0, -1))))).toBe('join_request_malformed')
    }
  })

  test('checks the MIC of a rejoin of type 1 under JSIntKey, before a session key is derived', async () => {
    const enrolled = await scene.enrol('1.1.0')
    const genuine = enrolled.device.rejoinRequest(1, 7)
    const command = { ...joinCommand(enrolled, 0, {}, { dlSettings: 0x80 }), phyPayload: genuine }
    expect(codeOf(() => join(command))).toBe('accepted')
    for (const bit of [8 * 18, 8 * 20, 8 * 23 + 7]) {
      const forged = { ...command, phyPayload: flipBit(genuine, bit) }
      count.derived = 0
      expect(codeOf(() => join(forged))).toBe('mic_mismatch')
      expect(
        codeOf(() => {
          verifyJoinRequest(bench.custody, forged)
        }),
      ).toBe('mic_mismatch')
      // JSIntKey itself, each time.
      expect(count.derived).toBe(2)
    }
    expect(
      codeOf(() => {
        verifyJoinRequest(bench.custody, command)
      }),
    ).toBe('accepted')
  })

  test('makes session records from which the AppSKey is wrapped again for another application server', async () => {
    const enrolled = await scene.enrol('1.1.0', { applicationServers: [AS_ID, 'second'] })
    const second = await scene.kek('as', 'second', 24)
    const command = joinCommand(enrolled, 9, { as: as[16] }, { dlSettings: 0x80 })
    const { sessionRecord } = join(command)
    const released = releaseAppSKey(bench.custody, {
      deviceRecord: enrolled.record,
      sessionRecord,
      asKekRecord: second.record,
    })
    expect(keyUnwrap(second.value, released.appSKey)).toEqual(enrolled.device.expect(9, command).appSKey)
    expect(decodeReceipt(released.receipt)).toMatchObject({
      operation: 'releaseAppSKey',
      appSKey: 'wrapped',
      kekIds: [Buffer.from(second.id, 'hex')],
    })
  })

  test('derives nothing, and makes no receipt, for a join-request with a wrong MIC', async () => {
    for (const version of ['1.0.3', '1.1.0'] as const) {
      const enrolled = await scene.enrol(version)
      const command = joinCommand(enrolled, 3, { ns: ns[16], as: as[16] })
      const receipts = bench.receipts.length
      count.derived = 0
      for (let bit = 19 * 8; bit < 23 * 8; bit++) {
        const forged = flipBit(command.phyPayload, bit)
        expect(codeOf(() => join({ ...command, phyPayload: forged }))).toBe('mic_mismatch')
        const question = { deviceRecord: enrolled.record, phyPayload: forged }
        expect(
          codeOf(() => {
            verifyJoinRequest(bench.custody, question)
          }),
        ).toBe('mic_mismatch')
      }
      expect(count.derived).toBe(0)
      expect(bench.receipts.length).toBe(receipts)
      verifyJoinRequest(bench.custody, command)
      expect(count.derived).toBe(0)
      join(command)
      expect(count.derived).toBeGreaterThan(0)
      expect(bench.receipts.length).toBe(receipts + 1)
    }
  })

  test('keeps the KEK that it uses open when the cache of open KEKs is full', async () => {
    const enrolled = await scene.enrol('1.0.3')
    const keks = { ns: ns[16], as: as[16] }
    const fill = Array.from({ length: backend === 'soft' ? 1100 : 8 }, () =>
      scene.kekSet('as', randomBytes(8).toString('hex')),
    )
    for (let start = 0; start < fill.length; start += 500) {
      const order = hsm.operator.order(fill.slice(start, start + 500), [randomBytes(16)])
      for (const record of await bench.records(order)) {
        bench.custody.keks.open(ns[16].record, 'ns')
        bench.custody.keks.open(record, 'as')
      }
    }
    expectAnswer(enrolled, 4, joinCommand(enrolled, 4, keks), keks)
  })

  test.each([
    ['device.set', 'record_superseded'],
    ['device.remove', 'record_superseded'],
  ] as const)('refuses the device record that %s replaced', async (action, code) => {
    const enrolled = await scene.enrol('1.0.3')
    const command = joinCommand(enrolled, 1)
    join(command)
    const policy = { applicationServers: [], networkIsApplicationServer: false, networks: [NET_ID] }
    const reference = enrolled.device.reference(1)
    const change: Change = action === 'device.set' ? { action, ...reference, ...policy } : { action, ...reference }
    const [newer] = await bench.records(hsm.operator.order([change], [], [enrolled.record]))
    expect(codeOf(() => join(command))).toBe(code)
    if (newer !== undefined) join({ ...command, deviceRecord: newer })
  })

  test('refuses a KEK that is open already, from the moment it is removed', async () => {
    const enrolled = await scene.enrol('1.0.3')
    const kek = await scene.kek('as', AS_ID)
    const command = joinCommand(enrolled, 1, { as: kek })
    join(command)
    await bench.apply(hsm.operator.order([kek.remove], [], [kek.record]))
    expect(codeOf(() => join(command))).toBe('record_superseded')
    expect(codeOf(() => join(command))).toBe('record_superseded')
    join({ ...command, asKekRecord: as[16].record })
  })
})
