import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Clock } from './support/clock.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import {
  addPeer,
  AS_ID,
  enrolDevice,
  joinDevice,
  NET_ID,
  networkServer,
  setKek,
  type TestDevice,
} from './support/parties.ts'
import { trustBoundaryOf } from './support/processes.ts'

/**
 * Somebody sets the clock while the server runs. Certificates are the only thing that may ask what time it is: those of
 * this installation were made ten days ago, so that they hold wherever the clock is set to.
 */
const MADE = -10
const NOW = -5

describe('a clock that is set while the server runs', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-clock-'))
  const clock = new Clock(join(directory, 'clock'), MADE)
  let installation: Installation
  let server: ServerProcess
  let peer: string
  let device: TestDevice

  beforeAll(async () => {
    installation = await Installation.create('soft', { environment: clock.environment })
    peer = await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'as', AS_ID)
    await setKek(installation, 'as', AS_ID, 'owner-1')
    device = await enrolDevice(installation, '1.0.4')
    clock.set(NOW)
    server = await installation.serve('--workers', '1')
  })
  afterAll(async () => {
    await installation[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  /** Joins once; the server and the HSM process must have agreed with the device about everything. */
  async function joinOnce(): Promise<number> {
    const network = networkServer(server, peer)
    try {
      return (await joinDevice(network, device.device)).joinNonce
    } finally {
      await network[Symbol.asyncDispose]()
    }
  }

  /** What happens while the one worker does nothing, as behind a slow token. */
  async function whileWorkerStands(happens: () => Promise<void>): Promise<void> {
    const [worker] = trustBoundaryOf(server.pid).workers
    process.kill(worker?.pid ?? 0, 'SIGSTOP')
    await happens()
    process.kill(worker?.pid ?? 0, 'SIGCONT')
  }

  test('the processes see it', async () => {
    const date = (): number => Number(execFileSync('date', ['+%s'], { env: { ...process.env, ...clock.environment } }))
    const before = date()
    expect(Math.round((Date.now() / 1000 - before) / 86_400)).toBe(-NOW)
    expect(await joinOnce()).toBe(1)
  })

  test.each([
    ['forward by a day', NOW + 1],
    ['back by two', NOW - 1],
    ['forward again', NOW],
  ])('%s: joins go on, and one that was under way is answered', async (_name, days) => {
    let underWay: Promise<number> | undefined
    await whileWorkerStands(async () => {
      underWay = joinOnce()
      await delay(300)
      clock.set(days)
      // The client looks for requests that have waited too long every half second.
      await delay(1200)
    })
    const joinNonce = await underWay
    expect(joinNonce).toBeGreaterThan(1)
    expect(await joinOnce()).toBe((joinNonce ?? 0) + 1)
  })

  test('back by a day: a worker that does not answer is waited for no longer than else', async () => {
    let refused: unknown
    await whileWorkerStands(async () => {
      const underWay = joinOnce()
      underWay.catch((error: unknown) => (refused = error))
      await delay(300)
      clock.set(NOW - 1)
      await expect.poll(() => refused, { timeout: 9000 }).toMatchObject({ resultCode: 'Other' })
    })
    await expect.poll(() => joinOnce().catch(() => 0), { timeout: 9000 }).toBeGreaterThan(1)
  })

  test('back by a day: a worker that was killed is waited for', async () => {
    const [worker] = trustBoundaryOf(server.pid).workers
    process.kill(worker?.pid ?? 0, 'SIGKILL')
    const underWay = joinOnce()
    clock.set(NOW - 2)
    expect(await underWay).toBeGreaterThan(1)
  })

  test('back by three days while the server is down: it starts, and joins go on', async () => {
    const last = await joinOnce()
    await server.kill('SIGTERM')
    clock.set(NOW - 3)
    server = await installation.serve('--workers', '1')
    expect(await joinOnce()).toBe(last + 1)
  })
})
