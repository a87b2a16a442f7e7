import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseJoinEui } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AskedProcess } from '../../src/bench/asked-process.ts'
import type { AloneDialogue, FillDialogue } from '../../src/bench/dialogue.ts'
import { decodeJoinAnswer, encodeJoinCommand } from '../../src/contract/join.ts'
import { HSM_BENCH_ALONE_MAIN, HSM_BENCH_FILL_MAIN } from '../../src/index.ts'
import { sealEnvelope } from '../../src/orders/envelope.ts'
import { decodeReceipt, receiptHash } from '../../src/receipts/receipt.ts'
import { verifyReceiptHead } from '../../src/receipts/head.ts'
import { decodeDeviceRecord } from '../../src/records/device-record.ts'
import { toBuffer } from '../../src/worker/messages.ts'
import { AS_ID, joinCommand, NET_ID, Scene } from '../support/scene.ts'
import { PARAMETERS, TestDevice } from '../support/device.ts'
import { HsmProcess, parentOf } from '../support/hsm-process.ts'
import { codeOfPromise } from '../support/refusal.ts'
import { BACKENDS, TestHsm } from '../support/test-hsm.ts'

function filler(): AskedProcess<FillDialogue> {
  return new AskedProcess({ program: HSM_BENCH_FILL_MAIN, environment: process.env })
}

function alone(): AskedProcess<AloneDialogue> {
  return new AskedProcess({ program: HSM_BENCH_ALONE_MAIN, environment: process.env })
}

const pidOfThisTest = process.pid

function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) && parentOf(name) === parent ? [Number(name)] : []))
}

/** Core dumps have no memory in them, or not even this file is open to the process's own user. */
function memoryIsClosed(pid: number): boolean {
  try {
    return Number(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8')) === 0
  } catch {
    return true
  }
}

/** The real programs that a benchmark asks, on an HSM as `mortise init` makes it. */
describe.each(BACKENDS)('programs for a benchmark, %s', (backend) => {
  let hsm: TestHsm

  beforeAll(() => {
    hsm = new TestHsm(backend)
  })
  afterAll(() => {
    hsm[Symbol.dispose]()
  })

  const opening = () => ({ directory: hsm.directory, secretFile: hsm.secretFile })

  test('a new HSM is filled, with a boot and a worker of its own; the device then joins; it is never filled again', async () => {
    const device = new TestDevice('1.1.0')
    const made = await fill(device)
    expect(hsm.readState()).toMatchObject({ lastWorker: 1, epoch: 1 })
    expect(Math.abs(hsm.readState().lastBoot - Date.now())).toBeLessThan(60_000)
    expect(decodeDeviceRecord(made).devEui).toBe(device.devEui)
    {
      await using running = await HsmProcess.start(hsm, { workers: 1 })
      const client = await running.readyClient()
      expect(client.welcome?.worker).toBe(2)
      const { networkKeys } = await client.answerJoin(joinCommand({ device, record: made }, 7))
      expect(networkKeys).toEqual(device.expect(7, PARAMETERS).networkKeys)
    }
    await using again = filler()
    await expect(again.ask('open', opening())).rejects.toThrow('this HSM has served')
    expect(hsm.readState().lastWorker).toBe(2)
  })

  async function fill(device: TestDevice): Promise<Buffer> {
    await using process = filler()
    const { importPublicKey } = await process.ask('open', opening())
    const seal = (key: Buffer | undefined) =>
      key === undefined ? [] : [sealEnvelope(toBuffer(importPublicKey), [key])]
    await process.ask('fleet', {
      ...{ macVersion: device.macVersion, joinEui: device.joinEui, owner: randomBytes(16), networks: [NET_ID] },
      ...{ applicationServers: [AS_ID], appKeys: seal(device.appKey), nwkKeys: seal(device.nwkKey) },
    })
    const question = { first: 0, devEuis: [device.devEui], subject: Buffer.from('devices') }
    const { records, receipt } = await process.ask('devices', question)
    const { bootEpoch, worker, sequence } = decodeReceipt(toBuffer(receipt))
    expect({ bootEpoch, worker, sequence }).toEqual({ bootEpoch: hsm.readState().lastBoot, worker: 1, sequence: 1 })
    const head = await process.ask('close', {})
    expect(head).toMatchObject({ bootEpoch, worker, sequence, closing: true })
    const bytes = { hsmId: toBuffer(head.hsmId), hash: toBuffer(head.hash), signature: toBuffer(head.signature) }
    expect(verifyReceiptHead({ ...head, ...bytes }, hsm.created.receiptPublicKey)).toBe(true)
    expect(bytes.hash).toEqual(receiptHash(toBuffer(receipt)))
    // Nothing follows a closing head.
    expect(await codeOfPromise(process.ask('devices', question))).toBe('busy')
    const [record] = records
    return toBuffer(record ?? Buffer.alloc(0))
  }

  test('the token alone answers as the product does, with workers of their own numbers', async () => {
    const { enrolled, as } = await enrol()
    const before = hsm.readState()
    await using process = alone()
    await process.ask('open', { ...opening(), processes: 2 })
    const pids = childrenOf(process.pid ?? 0)
    expect(pids).toHaveLength(2)
    for (const pid of [process.pid ?? 0, ...pids]) expect(memoryIsClosed(pid)).toBe(true)
    expect(memoryIsClosed(pidOfThisTest)).toBe(false)
    const state = hsm.readState()
    expect(state.lastWorker).toBe(before.lastWorker + 2)
    expect(state.lastBoot).toBeGreaterThan(before.lastBoot)
    const commands = [1, 2].map((devNonce) => encodeJoinCommand(joinCommand(enrolled, devNonce, { as })))
    const answered = await process.ask('prepare', { commands })
    const workers = answered.map(({ answers }) => {
      const [first, second] = answers.map((answer) => decodeJoinAnswer(toBuffer(answer)))
      expect(first?.networkKeys).toEqual(enrolled.device.expect(1, PARAMETERS).networkKeys)
      expect(second?.networkKeys).toEqual(enrolled.device.expect(2, PARAMETERS).networkKeys)
      return decodeReceipt(first?.receipt ?? Buffer.alloc(0)).worker
    })
    expect(workers).toEqual([before.lastWorker + 1, before.lastWorker + 2])
    await process.ask('run', {})
    const windows = await process.ask('window', { seconds: 0.2 })
    await process.ask('halt', {})
    for (const { answered, p50Ms, maxMs } of windows) {
      expect(answered).toBeGreaterThan(0)
      expect(maxMs).toBeGreaterThanOrEqual(p50Ms)
    }
  })

  async function enrol() {
    await using running = await HsmProcess.start(hsm, { workers: 1 })
    const client = await running.readyClient()
    const scene = new Scene(hsm.operator, (command) => client.applyOrder(command))
    const [enrolled, as] = [await scene.enrol('1.0.4'), await scene.kek('as', AS_ID)]
    client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
    return { enrolled, as }
  }

  test('neither opens an HSM that is served, and nothing is numbered', async () => {
    await using running = await HsmProcess.start(hsm, { workers: 1 })
    const { lastWorker, lastBoot } = hsm.readState()
    await using one = filler()
    expect(await codeOfPromise(one.ask('open', opening()))).toBe('busy')
    await using other = alone()
    expect(await codeOfPromise(other.ask('open', { ...opening(), processes: 1 }))).toBe('busy')
    expect(hsm.readState()).toMatchObject({ lastWorker, lastBoot })
    expect(running.child.exitCode).toBe(null)
  })
})

describe('a program for a benchmark', () => {
  test.each<[string, () => Promise<unknown>]>([
    [
      'makes nothing',
      () => asked(filler(), (one) => one.ask('devices', { first: 0, devEuis: [], subject: Buffer.of() })),
    ],
    ['closes nothing', () => asked(filler(), (one) => one.ask('close', {}))],
    ['takes no fleet', () => asked(filler(), (one) => one.ask('fleet', FLEET))],
  ])('that has opened no HSM %s', async (_what, ask) => {
    expect(await codeOfPromise(ask())).toBe('sealed')
  })

  const FLEET: FillDialogue['fleet']['question'] = {
    ...{ macVersion: '1.0.4', joinEui: parseJoinEui('70b3d57ed0000b01'), owner: Buffer.alloc(16), networks: [] },
    ...{ applicationServers: [], appKeys: [], nwkKeys: [] },
  }

  async function asked<D extends AsyncDisposable>(one: D, ask: (one: D) => Promise<unknown>): Promise<unknown> {
    await using process = one
    return await ask(process)
  }

  test('ends with whoever has started it', async () => {
    const child = spawn(process.execPath, [fileURLToPath(HSM_BENCH_ALONE_MAIN)], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.disconnect()
    expect(await ended).toBe(0)
  })
})
