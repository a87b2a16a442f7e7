import { readFileSync } from 'node:fs'
import { get } from 'node:https'
import { connect } from 'node:net'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BackendInterfacesClient, createClient } from '@mortise/backend-interfaces'
import { bytesToHex, parseNetId } from '@mortise/lorawan'
import { Crowd, footprint } from './connections/crowd.ts'
import { HandshakeFlood } from './connections/handshake-flood.ts'
import { holdIdleConnections } from './connections/hold-idle.ts'
import { serveWithDescriptors } from './connections/limited-server.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import {
  addPeer,
  enrolDevice,
  JOIN_EUI,
  joinDevice,
  NET_ID,
  networkServer,
  type TestDevice,
  tlsOf,
} from './support/parties.ts'
import { trustBoundaryOf } from './support/processes.ts'

/** `mortise serve` under more connections and messages than it wants: real processes, real TLS. */

const OTHER_NET_ID = parseNetId('000014')
const FEW_DESCRIPTORS = 600

/** How long to wait for what happens soon; rarely asked, because each time is a handshake. */
const SOON = { timeout: 30_000, interval: 250 }

let installation: Installation
let network: string
let otherNetwork: string
let device: TestDevice
let triedDevice: TestDevice
let otherDevice: TestDevice

beforeAll(async () => {
  installation = await Installation.create()
  network = await addPeer(installation, 'ns', NET_ID)
  otherNetwork = await addPeer(installation, 'ns', OTHER_NET_ID)
  device = await enrolDevice(installation, '1.0.4', { as: '' })
  triedDevice = await enrolDevice(installation, '1.0.4', { as: '' })
  otherDevice = await enrolDevice(installation, '1.0.4', { as: '', networks: [OTHER_NET_ID] })
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

/** A JoinReq with the next DevNonce of a device. */
async function joinReq({ device }: TestDevice, senderId: string = NET_ID): Promise<string> {
  return JSON.stringify({
    ...{ ProtocolVersion: '1.0', SenderID: senderId, ReceiverID: JOIN_EUI, TransactionID: 7, MessageType: 'JoinReq' },
    ...{ MACVersion: '1.0.4', PHYPayload: bytesToHex(await device.joinRequest()), DevEUI: device.identity.devEui },
    ...{ DevAddr: '26000001', DLSettings: '00', RxDelay: 1 },
  })
}

function withDevAddr(body: string, devAddr: string): string {
  return JSON.stringify({ ...(JSON.parse(body) as object), DevAddr: devAddr })
}

/** The value of one line of /metrics; 0 where there is none yet. */
function metric(server: ServerProcess, line: string): Promise<number> {
  const ca = readFileSync(joinPath(installation.data, 'ca.pem'))
  const headers = {
    authorization: `Bearer ${readFileSync(joinPath(installation.data, 'operator', 'api-key'), 'utf8').trim()}`,
  }
  return new Promise((resolve, reject) => {
    get(`${server.apiUrl}/metrics`, { ca, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => {
        resolve(
          Number(
            text
              .split('\n')
              .find((found) => found.startsWith(`${line} `))
              ?.slice(line.length) ?? 0,
          ),
        )
      })
    }).on('error', reject)
  })
}

describe('idle connections', () => {
  test('by the thousand: the joins of others go on, and every descriptor is given back', {
    timeout: 400_000,
  }, async () => {
    await using server = disposable(await installation.serve())
    await using others = networkServer(server, network)
    const connections = 5000
    const measured = await holdIdleConnections(installation, server, network, {
      ...{ connections, processes: 4 },
      join: async () => {
        await joinDevice(others, device.device)
      },
    })
    console.log(measured)
    expect(measured.connections).toBe(connections)
    expect(measured.descriptorsHeld).toBeGreaterThanOrEqual(measured.descriptorsBefore + connections)
    expect(measured.joinsWhileOpening).toBeGreaterThan(0)
    expect(measured.joinsWhileHeld).toBeGreaterThanOrEqual(20)
    expect(measured.descriptorsAfter).toBeLessThanOrEqual(measured.descriptorsBefore)
    await server.kill('SIGTERM')
  })
})

describe('a server that may open few files', () => {
  test('says so, answers a peer that leaves every connection idle, and never runs out', async () => {
    await using server = await serveWithDescriptors(installation, FEW_DESCRIPTORS)
    const most = Number(/at most (\d+) Backend Interfaces connections instead of \d+/.exec(server.output)?.[1])
    expect(most).toBeLessThan(FEW_DESCRIPTORS)
    await using keeping = networkServer(server, network)
    await joinDevice(keeping, device.device)
    await joinDevice(keeping, device.device)
    using crowd = await Crowd.gather(installation, server, network, 2)
    let highest = 0
    for (let opened = 0; opened < 3 * most; opened += 100) {
      const { answers } = await crowd.open(100, 1, await joinReq(device))
      expect(answers).toEqual({ Success: 100 })
      highest = Math.max(highest, footprint(server.pid).descriptors)
      await joinDevice(keeping, device.device)
    }
    expect(highest).toBeLessThan(FEW_DESCRIPTORS)
    expect(await metric(server, 'mortise_overload_total{what="connection",reason="room"}')).toBeGreaterThan(most)
    expect(server.ended).toBe(false)
  })

  test('keeps connections for others while handshakes hang from two addresses, on both listeners', async () => {
    await using server = await serveWithDescriptors(installation, FEW_DESCRIPTORS)
    const most = Number(/at most (\d+) Backend Interfaces connections/.exec(server.output)?.[1])
    const addresses = ['127.0.0.20', '127.0.0.21']
    using flood = new HandshakeFlood(server.biUrl, addresses, most)
    using apiFlood = new HandshakeFlood(server.apiUrl, addresses, most / 4)
    await expect.poll(() => metric(server, REFUSED_HANDSHAKES), SOON).toBeGreaterThan(most)
    for (let i = 0; i < 10; i++) {
      await using fresh = networkServer(server, network)
      await joinDevice(fresh, device.device)
      expect(Math.min(flood.open, apiFlood.open)).toBeGreaterThan(0)
      expect(await metric(server, 'mortise_connections')).toBeLessThan(most / 2)
    }
    expect(server.ended).toBe(false)
  })

  test('keeps connections for others while one peer asks on all that it has and nothing is answered', async () => {
    await using server = await serveWithDescriptors(installation, FEW_DESCRIPTORS)
    const body = await joinReq(device)
    using crowd = await Crowd.gather(installation, server, network, 2)
    using others = await Crowd.gather(installation, server, otherNetwork, 2)
    expect(await crowd.open(360, 2)).toEqual({ open: 360, answers: { 200: 720 } })
    const { answered } = await whileNothingIsAnswered(server, async () => {
      const answered = crowd.touch(body)
      await expect.poll(() => metric(server, OVER_SHARE), SOON).not.toBe(0)
      expect(await metric(server, IN_FLIGHT)).toBeLessThan(FEW_DESCRIPTORS / 2)
      for (let i = 0; i < 5; i++) expect((await others.open(100, 1)).answers).toEqual({ 200: 100 })
      expect(footprint(server.pid).descriptors).toBeLessThan(FEW_DESCRIPTORS)
      return { answered }
    })
    const { Success = 0, Other = 0 } = (await answered).answers
    expect(Success).toBeGreaterThan(0)
    expect(Success + Other).toBe(360)
  })
})

describe('a peer that floods', () => {
  test('is told to try again; the joins of another go through, and no DevNonce is burnt', {
    timeout: 240_000,
  }, async () => {
    await using server = disposable(await installation.serve())
    using crowd = await Crowd.gather(installation, server, network, 4)
    await crowd.open(2400, 2)
    const repeated = await joinReq(device)
    await using flooding = connectPatiently(server, network)
    await using other = connectPatiently(server, otherNetwork)
    expect(resultOf(await flooding.post(repeated))).toBe('Success')
    const flood = crowd.flood(repeated, 1000)
    await expect.poll(() => metric(server, OVER_SHARE), SOON).not.toBe(0)
    const results: string[] = []
    for (let i = 0; i < 20; i++) results.push(resultOf(await other.post(await joinReq(otherDevice, OTHER_NET_ID))))
    const refused = await joinReq(triedDevice)
    await whileNothingIsAnswered(server, async () => {
      const before = await metric(server, OVER_SHARE)
      await expect.poll(() => metric(server, OVER_SHARE), SOON).toBeGreaterThan(before)
      expect(resultOf(await flooding.post(refused))).toBe('Other')
    })
    crowd.stopFlood()
    const { answers } = await flood
    expect(results).toEqual(Array(20).fill('Success'))
    expect(Object.keys(answers).sort()).toEqual(['Other', 'Success'])
    // Another DevAddr makes it another request: with a DevNonce that was used it would be refused, as it is afterwards.
    expect(resultOf(await flooding.post(withDevAddr(refused, '26000002')))).toBe('Success')
    expect(resultOf(await flooding.post(withDevAddr(refused, '26000003')))).toBe('JoinReqFailed')
    expect(await metric(server, 'mortise_answers_total{message_type="JoinReq",result="Other"}')).toBe(
      answers['Other']! + 1,
    )
    expect(await metric(server, IN_FLIGHT)).toBe(0)
  })
})

describe('a server that is told to stop', () => {
  test('answers the joins in flight, takes no more connections, and waits for no idle one', async () => {
    await using server = disposable(await installation.serve())
    using idle = await Crowd.gather(installation, server, network, 1)
    using busy = await Crowd.gather(installation, server, network, 1)
    await idle.open(50, 1)
    await busy.open(50, 1)
    const { answered, stopped } = await whileNothingIsAnswered(server, async () => {
      const answered = busy.touch(await joinReq(device))
      await expect.poll(() => metric(server, IN_FLIGHT), SOON).toBe(50)
      const stopped = server.kill('SIGTERM')
      await expect.poll(() => takesConnections(server), SOON).toBe(false)
      expect((await idle.touch()).answers).toEqual({ none: 50 })
      expect(server.ended).toBe(false)
      return { answered, stopped }
    })
    expect((await answered).answers).toEqual({ Success: 50 })
    await stopped
    expect(server.child.exitCode).toBe(0)
  })
})

const IN_FLIGHT = 'mortise_messages_in_flight'
const REFUSED_HANDSHAKES = 'mortise_overload_total{what="connection",reason="handshakes"}'
const OVER_SHARE = 'mortise_overload_total{what="message",reason="share"}'

/**
 * Lets the workers of the trust boundary stand still meanwhile: what is asked stays in flight. What waits for an answer
 * has to be returned inside an object.
 */
async function whileNothingIsAnswered<Result>(server: ServerProcess, act: () => Promise<Result>): Promise<Result> {
  const { workers } = trustBoundaryOf(server.pid)
  for (const { pid } of workers) process.kill(pid, 'SIGSTOP')
  try {
    return await act()
  } finally {
    for (const { pid } of workers) process.kill(pid, 'SIGCONT')
  }
}

/** Waits longer than a network server does: what is tested is the answer, and this machine may be busy with other tests. */
function connectPatiently({ biUrl }: ServerProcess, directory: string): BackendInterfacesClient {
  return createClient({ url: biUrl, ...tlsOf(directory), timeoutMs: 60_000 })
}

function disposable(server: ServerProcess): ServerProcess & AsyncDisposable {
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.kill() })
}

function takesConnections({ biUrl }: ServerProcess): Promise<boolean> {
  const { hostname, port } = new URL(biUrl)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

function resultOf({ body }: { readonly body: Uint8Array }): string {
  return (JSON.parse(Buffer.from(body).toString()) as { Result: { ResultCode: string } }).Result.ResultCode
}
