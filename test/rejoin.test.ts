import { randomBytes } from 'node:crypto'
import { type BackendInterfacesClient, encodeRejoinReq } from '@mortise/backend-interfaces'
import { OPT_NEG, parseDevAddr, parseNetId } from '@mortise/lorawan'
import { type Device, NetworkServer } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation, type ServerProcess } from './support/installation.ts'
import { addPeer, connectPeer, enrolDevice, joinDevice, NET_ID } from './support/parties.ts'

/** What the join server cannot check of a rejoin-request, it believes only from the network that has the session. */

const TIMEOUT_MS = 120_000
/** Allowed by the owner as well. */
const OTHER = parseNetId('600001')

let installation: Installation
let server: ServerProcess
const directories = new Map<string, string>()

beforeAll(async () => {
  installation = await Installation.create()
  for (const netId of [NET_ID, OTHER]) directories.set(netId, await addPeer(installation, 'ns', netId))
  server = await installation.serve()
}, TIMEOUT_MS)
afterAll(() => installation[Symbol.asyncDispose]())

function operator(netId: typeof NET_ID): NetworkServer {
  const directory = directories.get(netId) ?? ''
  return new NetworkServer({ netId, protocolVersion: '1.0', connect: (seen) => connectPeer(server, directory, seen) })
}

function client(netId: typeof NET_ID): BackendInterfacesClient {
  return connectPeer(server, directories.get(netId) ?? '')
}

async function enrol(): Promise<Device> {
  return (await enrolDevice(installation, '1.1.0', { as: '', networks: [NET_ID, OTHER] })).device
}

/** What the join server says to a frame that nobody has sent. */
async function postForged(netId: typeof NET_ID, device: Device, rejoinType: 0 | 2): Promise<string> {
  const { devEui, joinEui } = device.identity
  const euis = [Buffer.from(netId, 'hex').reverse(), Buffer.from(devEui, 'hex').reverse()]
  const phyPayload = Buffer.concat([Buffer.of(0xc0, rejoinType), ...euis, randomBytes(6)])
  const ids = { protocolVersion: '1.0', senderId: netId, receiverId: joinEui } as const
  const settings = { macVersion: '1.1.0', dlSettings: OPT_NEG, rxDelay: 1, devAddr: parseDevAddr('26011bda') }
  await using asker = client(netId)
  const { body } = await asker.post(encodeRejoinReq({ ...ids, ...settings, devEui, phyPayload }, 1))
  return (JSON.parse(Buffer.from(body).toString()) as { Result: { ResultCode: string } }).Result.ResultCode
}

describe.each([0, 2] as const)('a rejoin of type %d', (rejoinType) => {
  test('is not believed from another network than that of the session, which loses nothing by it', async () => {
    const device = await enrol()
    await using home = operator(NET_ID)
    await joinDevice(home, device)
    for (let attempt = 0; attempt < 12; attempt++)
      expect(await postForged(OTHER, device, rejoinType)).toBe('JoinReqFailed')
    const { phyPayload } = await home.rejoin(await heardRejoin(home, device, rejoinType))
    expect((await device.handleJoinAccept(phyPayload)).joinNonce).toBe(2)
  })

  test('is believed from the other network once the session is there', async () => {
    const device = await enrol()
    await using home = operator(NET_ID)
    await using other = operator(OTHER)
    await joinDevice(home, device)
    await joinDevice(other, device)
    const { phyPayload } = await other.rejoin(await heardRejoin(other, device, rejoinType))
    expect((await device.handleJoinAccept(phyPayload)).joinNonce).toBe(3)
    expect(await postForged(NET_ID, device, rejoinType)).toBe('JoinReqFailed')
  })
})

test('a rejoin of type 1 brings its proof with it, through any allowed network', async () => {
  const device = await enrol()
  await using home = operator(NET_ID)
  await using other = operator(OTHER)
  await joinDevice(home, device)
  const { phyPayload } = await other.rejoin(await device.rejoinRequest(1))
  expect((await device.handleJoinAccept(phyPayload)).joinNonce).toBe(2)
})

test('a request that comes again after --kek-only was set gets no keys in clear any more', async () => {
  const device = await enrol()
  await using home = operator(NET_ID)
  const frame = await device.joinRequest()
  const { devAddr } = await home.activate(frame, { macVersion: '1.1.0' })
  expect(devAddr).toBeDefined()
  const request = home.seen.entries.find(({ kind }) => kind === 'request')!.text
  await using asker = client(NET_ID)
  expect(await resultOf(asker, request)).toBe('Success')
  await installation.mortise('peer', 'set', 'ns', '--net-id', NET_ID, '--kek-only')
  expect(await resultOf(asker, request)).toBe('JoinReqFailed')
  await installation.mortise('peer', 'set', 'ns', '--net-id', NET_ID, '--no-kek-only')
  expect(await resultOf(asker, request)).toBe('Success')
})

async function resultOf(asker: BackendInterfacesClient, body: string): Promise<string> {
  const answer = await asker.post(body)
  return (JSON.parse(Buffer.from(answer.body).toString()) as { Result: { ResultCode: string } }).Result.ResultCode
}

/** The network hears the new session with the device's first uplink, and so can check its rejoins. */
async function heardRejoin(network: NetworkServer, device: Device, rejoinType: 0 | 2): Promise<Uint8Array> {
  network.receiveUplink(await device.uplink({ fPort: 7, payload: Buffer.from('door open') }))
  return await device.rejoinRequest(rejoinType)
}
