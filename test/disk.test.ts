import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fleet, FleetScene } from './support/fleet.ts'
import { enrolDevices } from './support/join-line.ts'
import { fileSizeLimit, limitDisk, type LimitedDisk } from './support/limited-disk.ts'
import { trustBoundaryOf } from './support/processes.ts'

/** A disk that takes no more, under a running server: refused or survived, never silently wrong. */

const DEVICES = 4
const MEGABYTES = 12
/** Some joins fit into what the log has already. */
const MAX_ROUNDS = 500
const ROUNDS_WITHOUT_SPACE = 20
const POLL = { timeout: 20_000, interval: 100 }

let scene: FleetScene
beforeAll(async () => {
  scene = await FleetScene.create(DEVICES)
})
afterAll(() => scene[Symbol.asyncDispose]())

type MakeLimit = (directory: string) => LimitedDisk
const LIMITS: readonly [string, MakeLimit][] = [
  ['a file system that is full', (directory) => limitDisk(scene.installation, directory, MEGABYTES)],
  ['files that may not grow', () => fileSizeLimit()],
]

test.each(LIMITS)(
  '%s: joins are refused and use up no JoinNonce; when there is space they go on without a restart',
  async (_name, makeLimit) => {
    const { installation, operator } = scene
    using disk = makeLimit(installation.data)
    let server = await installation.serve()
    using fleet = scene.connect(server)
    expect(await fleet.joinOnce()).toBe(DEVICES)

    disk.take(server.pid, join(installation.data, 'mortise.db-wal'))
    await joinUntilRefused(fleet)
    await expect.poll(() => scene.readiness(server), POLL).toMatch(/database: disk_(full|failed)/)
    expect(await scene.metric(server, 'mortise_database_ok')).toBe(0)
    expect(server.output).toContain('commits to the database fail')
    expect((await scene.ask(server, '/api/v1/status')).body).toContain('Commits to the database fail')
    await expect(enrolDevices(installation, 1, ...operator)).rejects.toThrow(/\[disk_(full|failed)\]/)
    expect(await fleet.joinOnce()).toBe(0)

    disk.give(server.pid)
    expect(await fleet.joinOnce()).toBe(DEVICES)
    await expect.poll(() => scene.readiness(server), POLL).toBe('')
    expect(await scene.metric(server, 'mortise_database_ok')).toBe(1)
    expect(server.output).toContain('commits to the database work again')
    await enrolDevices(installation, 1, ...operator)

    await server.kill('SIGKILL')
    server = await installation.serve()
    using again = scene.connect(server)
    expect(await again.joinOnce()).toBe(DEVICES)
    await server.kill('SIGTERM')
    scene.expectEveryJoinNonceOnce()
  },
)

test('no space in the directory of the HSM: joins go on, and an order waits until there is space', async () => {
  const { installation, operator } = scene
  using disk = limitDisk(installation, join(installation.data, 'hsm'), MEGABYTES)
  const server = await installation.serve()
  using fleet = scene.connect(server)
  const { supervisor } = trustBoundaryOf(server.pid)
  disk.take(supervisor.pid)
  await enrolDevices(installation, 1, ...operator)
  expect(JSON.parse((await scene.ask(server, '/api/v1/status')).body)).toMatchObject({
    waitingOrders: 1,
    warnings: [expect.stringContaining('the sealed store could not be written') as string],
  })
  expect(await fleet.joinOnce()).toBe(DEVICES)
  disk.give(supervisor.pid)
  await expect.poll(() => scene.readiness(server), POLL).toBe('')
  expect(await fleet.joinOnce()).toBe(DEVICES)
  await server.kill('SIGTERM')
})

/** Until nothing fits any more, not even a small commit. */
async function joinUntilRefused(fleet: Fleet): Promise<void> {
  let refused = 0
  for (let round = 0; round < MAX_ROUNDS; round++) {
    refused = (await fleet.joinOnce()) === 0 ? refused + 1 : 0
    if (refused === ROUNDS_WITHOUT_SPACE) return
  }
  throw new Error('there is still space')
}
