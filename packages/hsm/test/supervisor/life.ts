import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hsmStatus, unseal } from '../../src/client/custodian-client.ts'
import type { HsmClient } from '../../src/client/client.ts'
import { FRAME } from '../../src/contract/frames.ts'
import { decodeAppliedOrder, encodeApplyOrder } from '../../src/contract/order.ts'
import { decodeReceiptBundle, verifyReceiptHead } from '../../src/receipts/head.ts'
import { decodeReceipt, receiptHash } from '../../src/receipts/receipt.ts'
import { HsmProcess, parentOf, TestDatabase, until } from '../support/hsm-process.ts'
import { codeOfPromise, flipBit } from '../support/refusal.ts'
import { AS_ID, type Enrolled, joinCommand, plainChange, Scene, type TestKek } from '../support/scene.ts'
import { type BackendName, TestHsm } from '../support/test-hsm.ts'

/** What holds while processes are started, killed and stopped. One file for each back end, so that they run side by side. */
export function lifeTests(backend: BackendName): void {
  describe(`the processes of the trust boundary, ${backend}`, () => {
    let hsm: TestHsm
    let enrolled: Enrolled
    let as: TestKek

    beforeAll(async () => {
      hsm = new TestHsm(backend)
      await using running = await HsmProcess.start(hsm)
      const client = await running.readyClient()
      const scene = new Scene(hsm.operator, (command) => client.applyOrder(command))
      enrolled = await scene.enrol('1.0.4')
      as = await scene.kek('as', AS_ID)
      client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
    })
    afterAll(() => {
      hsm[Symbol.dispose]()
    })

    /** Joins one after the other, as a server does: what comes back is committed, then acknowledged. */
    async function joinMany(client: HsmClient, database: TestDatabase, count: number): Promise<void> {
      for (let devNonce = 0; devNonce < count; devNonce++) {
        const { receipt } = await client.answerJoin(joinCommand(enrolled, devNonce, { as }))
        database.add(receipt)
      }
    }

    test('joins go on while workers are killed, and no chain has a gap', async () => {
      await using running = await HsmProcess.start(hsm)
      const database = new TestDatabase()
      const client = await running.readyClient({ database })
      const joins = Promise.all(Array.from({ length: 8 }, () => joinMany(client, database, 100)))
      const victims = running.workerPids()
      expect(victims.length).toBe(2)
      for (const victim of victims) {
        await delay(60)
        process.kill(victim, 'SIGKILL')
      }
      await joins
      const worker = (pid: number) => !victims.includes(pid)
      await until(() => running.workerPids().filter(worker).length === 2)
      await until(() => closedChains(database, client).length >= 2)
      await joinMany(client, database, 4)
      await running.stop()
      await until(() => closedChains(database, client).length >= 4)
      expectWholeChains(database)
      // Somewhere the answer died with the worker: its receipt arrived all the same.
      expect(database.receipts.size).toBeGreaterThanOrEqual(8 * 100 + 4)
    })

    test('receipts that nobody took survive an orderly stop', async () => {
      const first = new TestDatabase()
      first.acknowledges = false
      {
        await using running = await HsmProcess.start(hsm, { workers: 1 })
        const client = await running.readyClient({ database: first })
        await joinMany(client, first, 5)
        await client.close()
      }
      await using again = await HsmProcess.start(hsm, { workers: 1 })
      const second = new TestDatabase()
      const client = await again.readyClient({ database: second })
      // What an earlier boot could not hand over comes as well.
      await until(() => [...first.receipts.keys()].every((key) => second.receipts.has(key)))
      const { bootEpoch, worker } = decodeReceipt([...first.receipts.values()].at(-1) ?? Buffer.alloc(0))
      await until(() => closedChains(second, client).includes(`${bootEpoch}/${worker}`))
      expectWholeChains(second)
    })

    test('end with their parent, however it dies', async () => {
      await using running = await HsmProcess.start(hsm)
      const pids = [running.pid, ...running.workerPids()]
      expect(pids.length).toBe(3)
      // What the kernel does to a killed parent's end of the pipe.
      running.child.stdio[3]?.destroy()
      await until(() => pids.every((pid) => parentOf(String(pid)) === undefined || isZombie(pid)))
    })

    test('workers end with a supervisor that was killed, and the next one serves the same directory', async () => {
      await using running = await HsmProcess.start(hsm)
      const workers = running.workerPids()
      running.child.kill('SIGKILL')
      await until(() => workers.every((pid) => parentOf(String(pid)) === undefined))
      await using next = await HsmProcess.start(hsm)
      const client = await next.readyClient()
      await client.answerJoin(joinCommand(enrolled, 1, { as }))
    })

    test('one directory has one of them', async () => {
      await using running = await HsmProcess.start(hsm)
      const second = await HsmProcess.fail(hsm)
      expect(second.code).toBe(1)
      expect(second.stderr).toContain('busy')
      const client = await running.readyClient()
      await client.answerJoin(joinCommand(enrolled, 1, { as }))
    })

    test('show the word hsm or a path with /hsm/, and no secret in arguments or environment', async () => {
      await using running = await HsmProcess.start(hsm)
      const secrets = [hsm.secret(), hsm.recovery().recoveryKey]
      for (const pid of [running.pid, ...running.workerPids()]) {
        const commandLine = readFileSync(`/proc/${pid}/cmdline`)
        expect(commandLine.toString()).toMatch(/\bhsm\b|\/hsm\//)
        // The process is closed to its own user.
        const environment = process.getuid?.() === 0 ? readFileSync(`/proc/${pid}/environ`) : Buffer.alloc(0)
        for (const secret of secrets)
          for (const text of [secret.toString('latin1'), secret.toString('hex'), secret.toString('base64')])
            expect(Buffer.concat([commandLine, environment]).includes(Buffer.from(text, 'latin1'))).toBe(false)
      }
      const named = (): number =>
        execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
          .split('\n')
          .filter((line) => line.includes('mortise hsm') && !line.includes('ps -eo'))
          .map((line) => line.trim().split(/\s+/).map(Number))
          .filter(([pid, parent]) => pid === running.pid || parent === running.pid).length
      // A worker that is started once more names itself a little later.
      await until(() => named() === 3)
      expect(statSync(running.serverSocket).mode & 0o777).toBe(0o660)
      expect(statSync(running.custodianSocket).mode & 0o777).toBe(0o600)
    })

    test('start sealed, refuse everything, and are opened over the custodian socket', async () => {
      await using running = await HsmProcess.start(hsm, { sealed: true })
      const client = running.client()
      await until(() => client.state === 'sealed')
      expect(await codeOfPromise(client.answerJoin(joinCommand(enrolled, 1)))).toBe('sealed')
      expect((await hsmStatus(running.custodianSocket)).state).toBe('sealed')
      const wrong = backend === 'soft' ? 'wrong_passphrase' : 'token_failed'
      expect(await codeOfPromise(unseal(running.custodianSocket, Buffer.from('not the secret')))).toBe(wrong)
      expect((await hsmStatus(running.custodianSocket)).state).toBe('sealed')
      const started = performance.now()
      await unseal(running.custodianSocket, hsm.secret())
      process.stdout.write(`unsealing, ${backend}: ${Math.round(performance.now() - started)} ms\n`)
      expect((await hsmStatus(running.custodianSocket)).state).toBe('unsealed')
      await until(() => client.state === 'ready')
      await client.answerJoin(joinCommand(enrolled, 1))
    })

    test.each([
      ['a byte that changed', (bytes: Buffer) => flipBit(bytes, 8 * 100)],
      ['a store cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 40)],
      ['an empty store', () => Buffer.alloc(0)],
      ['something else', () => Buffer.from('{"format":"mortise-store-1"}')],
    ])('do not start on %s', async (_name, damage) => {
      const whole = readFileSync(hsm.storeFile)
      writeFileSync(hsm.storeFile, damage(whole))
      const ended = await HsmProcess.fail(hsm)
      writeFileSync(hsm.storeFile, whole)
      expect(ended.code).toBe(2)
      expect(ended.stderr).toMatch(/error: (store_damaged|wrong_passphrase)/)
      await using running = await HsmProcess.start(hsm)
      const client = await running.readyClient()
      await client.answerJoin(joinCommand(enrolled, 1))
    })

    test('refuse to work on a store that was rolled back, until the operator accepts it', async () => {
      const copy = `${hsm.storeFile}.old`
      copyFileSync(hsm.storeFile, copy)
      let known = 0
      const scene = (client: HsmClient) => new Scene(hsm.operator, (command) => client.applyOrder(command))
      {
        await using running = await HsmProcess.start(hsm)
        const client = await running.readyClient()
        const removed = await scene(client).enrol('1.0.3')
        const remove = { action: 'device.remove', ...removed.device.reference(1) } as const
        known = (await client.applyOrder(hsm.operator.order([remove], [], [removed.record]))).epoch
        expect(await codeOfPromise(client.answerJoin(joinCommand(removed, 1)))).toBe('record_superseded')
      }
      copyFileSync(copy, hsm.storeFile)
      await using running = await HsmProcess.start(hsm)
      const client = running.client({ knownEpoch: () => known })
      await until(() => client.state === 'rolled-back')
      expect(await codeOfPromise(client.answerJoin(joinCommand(enrolled, 1)))).toBe('store_rolled_back')
      // The client says so itself; the worker does not rely on that.
      const raw = await running.rawConnection(known)
      expect(await raw.code(FRAME.answerJoin, Buffer.alloc(0))).toBe('store_rolled_back')
      const other = encodeApplyOrder(hsm.operator.order([plainChange()]))
      expect(await raw.code(FRAME.applyOrder, other)).toBe('store_rolled_back')
      const applied = await client.applyOrder(hsm.operator.order([{ action: 'epoch.accept', epoch: known }]))
      expect(applied.epoch).toBe(known + 1)
      known = applied.epoch
      client.reconnect()
      await until(() => client.state === 'ready')
      await client.answerJoin(joinCommand(enrolled, 1))
    })

    test('give a repeated order the same outcome, over a restart too, until it was acknowledged', async () => {
      const command = hsm.operator.order([plainChange()])
      const first = await (async () => {
        await using running = await HsmProcess.start(hsm)
        const raw = await running.rawConnection()
        const once = await raw.ask(FRAME.applyOrder, encodeApplyOrder(command))
        const twice = await raw.ask(FRAME.applyOrder, encodeApplyOrder(command))
        expect(twice.payload).toEqual(once.payload)
        return once.payload
      })()
      await using running = await HsmProcess.start(hsm)
      const raw = await running.rawConnection()
      const again = decodeAppliedOrder((await raw.ask(FRAME.applyOrder, encodeApplyOrder(command))).payload)
      const { changes, epoch, receipt } = decodeAppliedOrder(first)
      expect(again).toMatchObject({ changes, epoch })
      // Its receipt is one of the boot that says so: what stands before the old one may be lost.
      expect(decodeReceipt(again.receipt).recordDigest).toEqual(decodeReceipt(receipt).recordDigest)
      expect(decodeReceipt(again.receipt).bootEpoch).toBeGreaterThan(decodeReceipt(receipt).bootEpoch)
      const client = await running.readyClient()
      client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
      await until(async () => (await raw.code(FRAME.applyOrder, encodeApplyOrder(command))) === 'order_replayed')
    })

    test('send the receipt of an order ahead of its answer, so that none that follows can overtake it', async () => {
      await using running = await HsmProcess.start(hsm, { workers: 1 })
      const raw = await running.rawConnection()
      const answer = await raw.ask(FRAME.applyOrder, encodeApplyOrder(hsm.operator.order([plainChange()])))
      const { receipt } = decodeAppliedOrder(answer.payload)
      const before = raw.unasked.filter(({ type }) => type === FRAME.receipts).map(({ payload }) => payload)
      expect(before.flatMap((payload) => decodeReceiptBundle(payload).receipts)).toContainEqual(receipt)
      const client = await running.readyClient()
      client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
    })

    test('carry out each of many orders that come at once, one after the other', async () => {
      await using running = await HsmProcess.start(hsm)
      const client = await running.readyClient()
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, () => codeOfPromise(client.applyOrder(hsm.operator.order([plainChange()])))),
      )
      // Those that a worker had no room for, or that a later one overtook, are told so; nothing hangs.
      expect(outcomes.every((code) => ['accepted', 'busy', 'order_replayed'].includes(code))).toBe(true)
      expect(outcomes).toContain('accepted')
      client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
      await delay(50)
      await client.applyOrder(hsm.operator.order([plainChange()]))
    })

    test('survive the death of the worker that carries out an order', async () => {
      await using running = await HsmProcess.start(hsm)
      const client = await running.readyClient()
      for (let round = 0; round < 3; round++) {
        const command = hsm.operator.order([plainChange()])
        const applied = client.applyOrder(command)
        for (const pid of running.workerPids()) process.kill(pid, 'SIGKILL')
        const { receipt } = await applied
        expect(decodeReceipt(receipt).operation).toBe('applyOrder')
        client.acknowledgeOrder(hsm.operator.signer, hsm.operator.sequence)
      }
    })

    function closedChains(database: TestDatabase, client: HsmClient): string[] {
      const key = client.welcome?.receiptPublicKey
      return [
        ...new Set(
          database.heads.flatMap((head) => {
            if (!head.closing) return []
            expect(verifyReceiptHead(head, key ?? Buffer.alloc(0))).toBe(true)
            return [`${head.bootEpoch}/${head.worker}`]
          }),
        ),
      ]
    }
  })
}

/** Every chain that a closing head ends is there from its first receipt to that head, each naming the one before. */
function expectWholeChains(database: TestDatabase): void {
  for (const head of database.heads.filter(({ closing }) => closing)) {
    let previous: Buffer = Buffer.alloc(32)
    for (let sequence = 1; sequence <= head.sequence; sequence++) {
      const receipt = database.receipts.get(`${head.bootEpoch}/${head.worker}/${sequence}`)
      if (receipt === undefined) throw new Error(`receipt ${sequence} of ${head.sequence} is missing`)
      expect(decodeReceipt(receipt).previous).toEqual(previous)
      previous = receiptHash(receipt)
    }
    expect(previous).toEqual(head.hash)
    const beyond = `${head.bootEpoch}/${head.worker}/${head.sequence + 1}`
    expect(database.receipts.has(beyond)).toBe(false)
  }
}

function isZombie(pid: number): boolean {
  return readdirSync('/proc').includes(String(pid)) && readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
}
