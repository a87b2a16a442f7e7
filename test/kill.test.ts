import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { NetworkServer } from '@mortise/simulator'
import { BACKENDS, Installation } from './support/installation.ts'
import {
  addPeer,
  AS_ID,
  connectPeer,
  enrolDevice,
  joinDevice,
  NET_ID,
  networkServer,
  setKek,
  type TestDevice,
} from './support/parties.ts'
import { descendantsOf, isTrustBoundary, trustBoundaryOf } from './support/processes.ts'

/** Joins until one succeeds again; what was refused or lost meanwhile is counted, not hidden. */
async function joinSoon(network: NetworkServer, { device }: TestDevice): Promise<number> {
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      return (await joinDevice(network, device)).joinNonce
    } catch (error) {
      if (Date.now() > deadline) throw error
      await delay(100)
    }
  }
}

describe.each(BACKENDS)('kill -9, %s', (backend) => {
  test('of a worker, of the supervisor and of the server: joins go on and no JoinNonce comes twice', async () => {
    await using installation = await Installation.create(backend)
    const directory = await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'as', AS_ID)
    await setKek(installation, 'as', AS_ID, 'owner-1')
    const enrolled = await enrolDevice(installation, '1.0.4')
    const joinNonces: number[] = []
    let server = await installation.serve()
    let network = networkServer(server, directory)
    joinNonces.push(await joinSoon(network, enrolled))

    const { workers, supervisor } = trustBoundaryOf(server.pid)
    process.kill(workers[0]!.pid, 'SIGKILL')
    joinNonces.push(await joinSoon(network, enrolled))

    process.kill(supervisor.pid, 'SIGKILL')
    joinNonces.push(await joinSoon(network, enrolled))

    const boundary = descendantsOf(server.pid).filter(isTrustBoundary)
    await network[Symbol.asyncDispose]()
    await server.kill('SIGKILL')
    await expect.poll(() => boundary.filter(({ pid }) => isRunning(pid)), { timeout: 20_000 }).toEqual([])
    server = await installation.serve()
    network = networkServer(server, directory)
    joinNonces.push(await joinSoon(network, enrolled))
    await network[Symbol.asyncDispose]()

    expect(new Set(joinNonces).size).toBe(4)
    expect(joinNonces).toEqual([...joinNonces].sort((a, b) => a - b))
  })

  test('after an answer: the same request gets the same answer from the restarted server', async () => {
    await using installation = await Installation.create(backend)
    const directory = await addPeer(installation, 'ns', NET_ID)
    const { device } = await enrolDevice(installation, '1.0.3', { as: '' })
    let server = await installation.serve()
    let network = networkServer(server, directory)
    await joinDevice(network, device)
    const request = network.seen.entries.find((entry) => entry.kind === 'request')!.text
    const first = network.seen.entries.find((entry) => entry.kind === 'answer')!.text
    await network[Symbol.asyncDispose]()
    await server.kill('SIGKILL')

    server = await installation.serve()
    network = networkServer(server, directory)
    await using client = connectPeer(server, directory)
    const again = await client.post(Buffer.from(request))
    expect(Buffer.from(again.body).toString()).toBe(first)
    const changed = await client.post(Buffer.from(request.replace(/"RxDelay":1/, '"RxDelay":2')))
    expect(JSON.parse(Buffer.from(changed.body).toString())).toMatchObject({ Result: { ResultCode: 'JoinReqFailed' } })
    await network[Symbol.asyncDispose]()
  })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
