import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BackendInterfacesClient, createClient } from '@mortise/backend-interfaces'
import { type MacVersion, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { type Activation, Device, NetworkServer, type RootKeys, SoftSecureElement } from '@mortise/simulator'
import type { Installation, ServerProcess } from './installation.ts'

/** The other parties of a test: devices with keys that the test knows, network servers, application servers. */

export const JOIN_EUI = parseJoinEui('70b3d57ed0000b02')
export const NET_ID = parseNetId('000013')
export const AS_ID = 'doors.example'

export interface TestDevice {
  readonly device: Device
  readonly rootKeys: RootKeys
}

/** A device with random keys, enrolled through the CLI for {@link NET_ID} and {@link AS_ID}. */
export async function enrolDevice(
  installation: Installation,
  macVersion: MacVersion,
  policy: { readonly as?: string; readonly networks?: readonly string[] } = {},
): Promise<TestDevice> {
  const devEui = parseDevEui(randomBytes(8).toString('hex'))
  const appKey = randomBytes(16)
  const nwkKey = macVersion === '1.1.0' ? randomBytes(16) : undefined
  const rootKeys = { appKey, ...(nwkKey && { nwkKey }) }
  const keys = JSON.stringify({ appKey: appKey.toString('hex'), ...(nwkKey && { nwkKey: nwkKey.toString('hex') }) })
  const keysFile = installation.secret(`keys-${devEui}`, keys)
  const { as = AS_ID, networks = [NET_ID] } = policy
  const options = ['--dev-eui', devEui, '--join-eui', JOIN_EUI, '--mac-version', macVersion, '--keys-file', keysFile]
  const lists = [...(as === '' ? [] : ['--as', as]), ...networks.flatMap((netId) => ['--network', netId])]
  await installation.mortise('device', 'add', ...options, ...lists)
  return { device: loadDevice(devEui, macVersion, rootKeys), rootKeys }
}

/** The same device after a loss of its state: its DevNonces begin anew. */
export function loadDevice(devEui: string, macVersion: MacVersion, rootKeys: RootKeys): Device {
  const secureElement = new SoftSecureElement()
  const identity = { devEui: parseDevEui(devEui), joinEui: JOIN_EUI, macVersion }
  secureElement.loadDevice(identity, rootKeys)
  return new Device(secureElement, identity)
}

/** Adds a peer with a certificate that Mortise issues; returns the directory with it. */
export async function addPeer(
  installation: Installation,
  kind: 'ns' | 'as',
  id: string,
  options: readonly string[] = [],
): Promise<string> {
  const directory = join(installation.root, `peer-${kind}-${id}`)
  mkdirSync(directory, { recursive: true })
  await installation.mortise(
    'peer',
    'add',
    kind,
    kind === 'ns' ? '--net-id' : '--as-id',
    id,
    '--issue-certificate',
    directory,
    ...options,
  )
  return directory
}

/** Sets a KEK of random bytes and returns it. */
export async function setKek(
  installation: Installation,
  kind: 'ns' | 'as',
  id: string,
  label: string,
  bytes: 16 | 24 | 32 = 16,
): Promise<Buffer> {
  const kek = randomBytes(bytes)
  const file = installation.secret(`kek-${kind}-${id}-${label}`, `${kek.toString('hex')}\n`)
  await installation.mortise('kek', 'set', `--${kind}`, id, '--label', label, '--key-file', file)
  return kek
}

/** What a client shows and trusts, from the directory that {@link addPeer} gave. */
export function tlsOf(directory: string): Readonly<Record<'ca' | 'cert' | 'key', Buffer>> {
  const read = (name: string) => readFileSync(join(directory, name))
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') }
}

/** A Backend Interfaces client with a peer's certificate. */
export function connectPeer(
  server: ServerProcess,
  directory: string,
  onExchange?: (request: string, answer: string) => void,
): BackendInterfacesClient {
  return createClient({
    ...{ url: server.biUrl, ...tlsOf(directory), timeoutMs: 10_000 },
    ...(onExchange && { onExchange }),
  })
}

/** A network operator that records everything that it sees. */
export function networkServer(
  server: ServerProcess,
  directory: string,
  keks: ReadonlyMap<string, Uint8Array> = new Map(),
): NetworkServer {
  return new NetworkServer({
    netId: NET_ID,
    protocolVersion: '1.0',
    connect: (onExchange) => connectPeer(server, directory, onExchange),
    keks,
  })
}

/** One join, checked by the device. */
export async function joinDevice(network: NetworkServer, device: Device): Promise<Activation & { joinNonce: number }> {
  const activation = await network.activate(await device.joinRequest(), { macVersion: device.identity.macVersion })
  const { joinNonce } = await device.handleJoinAccept(activation.phyPayload)
  return { ...activation, joinNonce }
}
