import { randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AppSKeyClient, KekRing } from '@mortise/application-server'
import { isWrapped, unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { type DevEui, parseDevEui } from '@mortise/lorawan'
import { Device, type NetworkServer, SoftSecureElement } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation, type ServerProcess } from './support/installation.ts'
import { ask } from './support/management.ts'
import {
  addPeer,
  AS_ID,
  connectPeer,
  enrolDevice,
  JOIN_EUI,
  joinDevice,
  NET_ID,
  networkServer,
  setKek,
} from './support/parties.ts'

const PREFIX = '70b3d57ed0000000/40'

/** Ours, which the network server knows, and the partner, whose the devices are; each has a route to the other. */
let [ours, partner]: [Installation, Installation] = [undefined as never, undefined as never]
let [ourServer, partnerServer]: [ServerProcess, ServerProcess] = [undefined as never, undefined as never]
let [ourNs, ourAs]: [string, string] = ['', '']
let [nsThere, asThere]: [string, string] = ['', '']
let asKek: Buffer
const cleanup = new AsyncDisposableStack()
beforeAll(async () => {
  ours = cleanup.use(await Installation.create())
  partner = cleanup.use(await Installation.create())
  ourNs = await addPeer(ours, 'ns', NET_ID)
  ourAs = await addPeer(ours, 'as', AS_ID)
  // What each gives to the other, so that it can ask.
  nsThere = await addPeer(partner, 'ns', NET_ID)
  asThere = await addPeer(partner, 'as', AS_ID)
  asKek = await setKek(partner, 'as', AS_ID, 'owner-1', 32)
  ourServer = await ours.serve()
  const backwards = join(ours.root, 'for-the-partner')
  await ours.mortise('peer', 'add', 'ns', '--net-id', '000014', '--issue-certificate', backwards)
  // While the partner does not run: its route takes effect when it starts.
  const order = await partner.json(...routeAdd(ourServer.biUrl, backwards))
  expect(order).toMatchObject({ state: 'waiting' })
  partnerServer = await partner.serve()
}, 120_000)
afterAll(async () => {
  await cleanup.disposeAsync()
})

const routeAdd = (url: string, directory: string, ...more: string[]): string[] => [
  ...['route', 'add', '--join-eui', PREFIX, '--url', url, '--certificate', directory, ...more],
]

function ourNetwork(): NetworkServer {
  return networkServer(ourServer, ourNs)
}

async function counter(server: ServerProcess, installation: Installation, outcome: string): Promise<number> {
  const apiKey = readFileSync(join(installation.data, 'operator', 'api-key'), 'utf8').trim()
  const { body } = await ask(server, installation, '/metrics', apiKey)
  const found = new RegExp(`^mortise_forwarded_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(body)
  if (found === null) throw new Error(`no such counter: ${body}`)
  return Number(found[1])
}

/** A device that nobody knows. */
function unknownDevice(): Device {
  const identity = {
    devEui: parseDevEui(randomBytes(8).toString('hex')),
    joinEui: JOIN_EUI,
    macVersion: '1.0.3',
  } as const
  const secureElement = new SoftSecureElement()
  secureElement.loadDevice(identity, { appKey: randomBytes(16) })
  return new Device(secureElement, identity)
}

async function refusalOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'Success',
    (error: unknown) => (error as { resultCode?: string }).resultCode ?? String(error),
  )
}

// The tests build on one another, in this order.
describe('two join servers that have routes to each other', () => {
  test('one without a route refuses what it does not know', async () => {
    const { device } = await enrolDevice(partner, '1.0.3')
    await using network = ourNetwork()
    expect(await refusalOf(joinDevice(network, device))).toBe('UnknownDevEUI')
  })

  test('a route is added on a running server, with its private key in a file of its own', async () => {
    expect(await ours.json(...routeAdd(partnerServer.biUrl, nsThere))).toMatchObject({ state: 'adopted', bits: 40 })
    const keys = readdirSync(join(ours.data, 'routes'))
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.key$/)])
    expect(statSync(join(ours.data, 'routes', keys[0]!)).mode & 0o777).toBe(0o600)
    expect(statSync(join(ours.data, 'routes')).mode & 0o777).toBe(0o700)
    expect(await ours.json('route', 'list')).toMatchObject([{ joinEui: '70b3d57ed0000000', bits: 40, protocol: '1.0' }])
    expect((await ours.mortise('route', 'list')).stdout).toContain(`${PREFIX}  ${partnerServer.biUrl}`)
  })

  test.each(['1.0.3', '1.1.0'] as const)(
    'a device of the partner, %s, joins through us; its AppSKey stays sealed',
    async (version) => {
      const { device } = await enrolDevice(partner, version)
      await using network = ourNetwork()
      const { appSKey, devEui } = await joinDevice(network, device)
      expect(isWrapped(appSKey!)).toBe(true)
      expect(appSKey?.kekLabel).toBe('owner-1')
      expect(unwrapKeyEnvelope(appSKey!, asKek)).toHaveLength(16)
      expect(await counter(partnerServer, partner, 'loop')).toBe(0)
      if (version !== '1.1.0') return
      network.receiveUplink(await device.uplink({ fPort: 2, payload: Buffer.from('still here') }))
      const rejoined = await network.rejoin(await device.rejoinRequest(1))
      await device.handleJoinAccept(rejoined.phyPayload)
      expect(rejoined.devEui).toBe(devEui)
    },
  )

  test('a device of ours is answered here', async () => {
    const before = await counter(ourServer, ours, 'answered')
    const { device } = await enrolDevice(ours, '1.0.3', { as: '' })
    await using network = ourNetwork()
    await joinDevice(network, device)
    expect(await counter(ourServer, ours, 'answered')).toBe(before)
  })

  test('a device that nobody knows is asked for once, and is not sent to and fro', async () => {
    const before = await counter(ourServer, ours, 'answered')
    await using network = ourNetwork()
    expect(await refusalOf(joinDevice(network, unknownDevice()))).toBe('UnknownDevEUI')
    expect(await counter(ourServer, ours, 'answered')).toBe(before + 1)
    expect(await counter(partnerServer, partner, 'loop')).toBe(1)
    expect(await counter(partnerServer, partner, 'answered')).toBe(0)
    expect(await counter(ourServer, ours, 'loop')).toBe(0)
  })

  test('what the partner refuses is refused in its words', async () => {
    const { device } = await enrolDevice(partner, '1.0.3', { networks: ['000015'] })
    await using network = ourNetwork()
    expect(await refusalOf(joinDevice(network, device))).toBe('NoRoamingAgreement')
  })

  test('a HomeNSReq goes there only for who has an agreement here, and is answered by the agreements there', async () => {
    const { device } = await enrolDevice(partner, '1.0.3', { networks: ['000015'] })
    const { devEui } = device.identity
    await using network = ourNetwork()
    const home = (eui: DevEui) => network.homeNs(JOIN_EUI, eui)
    const before = await counter(ourServer, ours, 'answered')
    const refused = [await refusalOf(home(devEui)), await refusalOf(home(unknownDevice().identity.devEui))]
    expect(refused).toEqual(['NoRoamingAgreement', 'NoRoamingAgreement'])
    expect(await counter(ourServer, ours, 'answered')).toBe(before)

    await ours.mortise('peer', 'agreement', 'add', '--ns', NET_ID, '--join-eui', PREFIX)
    expect(await refusalOf(home(devEui))).toBe('NoRoamingAgreement')
    expect(await counter(ourServer, ours, 'answered')).toBe(before + 1)
    await partner.mortise('peer', 'agreement', 'add', '--ns', NET_ID, '--device', devEui)
    expect(await home(devEui)).toMatchObject({ hNetId: '000015' })
  })

  test('an application server asks through us, when the route shows the certificate that is its there', async () => {
    const { device } = await enrolDevice(partner, '1.0.3')
    const { devEui } = device.identity
    await using network = ourNetwork()
    const { sessionKeyId } = await joinDevice(network, device)
    await using joinServer = connectPeer(ourServer, ourAs)
    using kekRing = new KekRing()
    kekRing.add('owner-1', asKek)
    const client = new AppSKeyClient({ joinServer, kekRing, asId: AS_ID, protocolVersion: '1.0' })
    const session = { devEui, joinEui: JOIN_EUI, sessionKeyId: sessionKeyId! }
    await expect(client.fetchAppSKey(session)).rejects.toThrow('UnknownSender')

    const [key] = readdirSync(join(ours.data, 'routes'))
    const again = await ours.try(...routeAdd(partnerServer.biUrl, asThere), '--json')
    expect(JSON.parse(again.stderr)).toMatchObject({ code: 'route_exists' })
    expect(readdirSync(join(ours.data, 'routes'))).toEqual([key])
    await ours.mortise('route', 'remove', '--join-eui', PREFIX, '--yes')
    expect(existsSync(join(ours.data, 'routes', key!))).toBe(false)
    await expect(client.fetchAppSKey(session)).rejects.toThrow('UnknownDevEUI')
    await ours.mortise(...routeAdd(partnerServer.biUrl, asThere, '--protocol', '1.1'))
    expect(await client.fetchAppSKey(session)).toBeDefined()
  })

  test('a partner that does not run is one refusal of many, and one line', async () => {
    const { device } = await enrolDevice(ours, '1.0.3', { as: '' })
    await partnerServer.kill('SIGTERM')
    await using network = ourNetwork()
    for (let round = 0; round < 3; round++) expect(await refusalOf(joinDevice(network, unknownDevice()))).toBe('Other')
    await joinDevice(network, device)
    expect(ourServer.output.match(/gives no usable answer for JoinEUI/g)).toHaveLength(1)
    expect(await counter(ourServer, ours, 'connection')).toBe(3)
  })

  test('a private key of no route is told of at the start; that of a route, or of an order that waits, is not', async () => {
    const keys = readdirSync(join(ours.data, 'routes'))
    const left = join(ours.data, 'routes', `${'0'.repeat(32)}.key`)
    await ourServer.kill('SIGTERM')
    copyFileSync(join(ours.data, 'routes', keys[0]!), left)
    ourServer = await ours.serve()
    expect(ourServer.output).toContain(`private keys of no route: ${left}; delete`)
    // It began with an order that waited.
    expect(partnerServer.output).not.toContain('private keys of no route')
  })
})
