import { createDecipheriv, createPrivateKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AppSKeyClient, KekRing } from '@mortise/application-server'
import { unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { type MacVersion, parseDevEui, parseNetId } from '@mortise/lorawan'
import { type Device, NetworkServer, type RootKeys } from '@mortise/simulator'
import { WITH_CORE_DUMPS } from './core-dump.ts'
import { askApi } from './exchange.ts'
import { type Backend, Installation, type ServerProcess } from './installation.ts'
import { addPeer, AS_ID, connectPeer, JOIN_EUI, joinDevice, loadDevice, NET_ID, setKek } from './parties.ts'
import { Relay } from './relay.ts'
import { throughSpy } from './pkcs11-spy.ts'
import { SecretSearch, type Secrets } from './secret-search.ts'
import { searchFiles } from './memory.ts'

/** A network that has no KEK: its session keys come in clear. */
const PLAIN_NET_ID = parseNetId('00002a')
const VERSIONS = ['1.0.3', '1.0.4', '1.1.0'] as const

export interface SceneDevice {
  readonly macVersion: MacVersion
  readonly device: Device
  readonly rootKeys: RootKeys
}

/** What is no secret and gets about, as searches name it. */
export const NEEDLE = 'needle'

type SceneParts = Pick<SecretScene, 'installation' | 'hsm' | 'server' | 'needle' | 'serverRelay' | 'custodianRelay'>

/**
 * An installation in use, with the server and the HSM process apart and a relay on each socket of the HSM process: peers,
 * KEKs and devices are ordered while it is sealed, then it is opened, devices join in two networks, and the application
 * server fetches an AppSKey. The scene knows all keys, as no party of it does.
 */
export class SecretScene implements AsyncDisposable {
  readonly installation: Installation
  hsm: ServerProcess
  readonly server: ServerProcess
  /** The environment of all processes has it in hex, and so has the label of a KEK. */
  readonly needle: Buffer
  /** What is nobody's but the owner's, the operator's, the network's that has a KEK, and the HSM processes'. */
  readonly secrets = new Map<string, Buffer>()
  /** Session keys of the network that has no KEK. */
  readonly clear = new Map<string, Buffer>()
  /** All that network servers and the application server sent and got, as text. */
  readonly wire = { wrapped: '', plain: '', application: '' }
  readonly serverRelay: Relay
  readonly custodianRelay: Relay
  readonly devices: readonly SceneDevice[] = VERSIONS.map(newDevice)
  /** What was found in files when orders with keys waited in the database. */
  foundWhileOrdersWaited: readonly string[] = []
  readonly #cleanup = new AsyncDisposableStack()
  /** What was said by HSM processes that have ended. */
  #saidBefore = ''
  #networks: { readonly wrapped: NetworkServer; readonly plain: NetworkServer } | undefined

  private constructor({ installation, hsm, server, needle, serverRelay, custodianRelay }: SceneParts) {
    this.installation = installation
    this.hsm = hsm
    this.server = server
    this.needle = needle
    this.serverRelay = serverRelay
    this.custodianRelay = custodianRelay
  }

  static async play(backend: Backend): Promise<SecretScene> {
    await using cleanup = new AsyncDisposableStack()
    const needle = randomBytes(16)
    const spied = backend === 'pkcs11' ? throughSpy() : {}
    const environment = { ...spied.environment, NEEDLE: needle.toString('hex') }
    const installation = cleanup.use(await Installation.create(backend, { ...spied, environment }))
    const hsm = startHsm(installation)
    const run = join(installation.data, 'run')
    await hsm.says('sealed')
    const serverRelay = cleanup.use(await Relay.before(join(run, 'server.sock')))
    const custodianRelay = cleanup.use(await Relay.before(join(run, 'custodian.sock')))
    const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    const words = ['serve', '--hsm-socket', join(run, 'server.sock'), ...listen]
    const server = installation.startUnder(WITH_CORE_DUMPS, ...words)
    const scene = new SecretScene({ installation, hsm, server, needle, serverRelay, custodianRelay })
    await server.says('listening')
    await scene.#order()
    scene.foundWhileOrdersWaited = searchFiles(installation.data, scene.searchForAll())
    await installation.mortise('unseal', ...installation.secretOption())
    await server.ready(installation)
    await scene.#join()
    cleanup.move()
    return scene
  }

  /** For all secrets, clear session keys, and {@link NEEDLE}. */
  searchForAll(): SecretSearch {
    return new SecretSearch(new Map([...this.secrets, ...this.clear, [NEEDLE, this.needle]]))
  }

  /** The HSM process has ended, and begins anew, sealed and with no relay before its sockets. */
  async startHsmAgain(): Promise<void> {
    this.#saidBefore += this.hsm.output
    this.hsm = startHsm(this.installation)
    await this.hsm.says('sealed')
  }

  /** One has a KEK, the other gets its session keys in clear. */
  get networks(): { readonly wrapped: NetworkServer; readonly plain: NetworkServer } {
    const nsKek = this.secrets.get('NS KEK') ?? Buffer.alloc(0)
    return (this.#networks ??= {
      wrapped: this.#network(NET_ID, 'wrapped', new Map([['network-1', nsKek]])),
      plain: this.#network(PLAIN_NET_ID, 'plain', new Map()),
    })
  }

  /** Everything that was said: the commands' results and messages, and the logs of server and HSM process. */
  get said(): string {
    return [this.installation.transcript, this.server.output, this.#saidBefore, this.hsm.output].join('\n')
  }

  /** What the management API answers to a GET request. */
  async api(path: string): Promise<string> {
    return (await askApi(this.server, this.installation, { path })).text
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync()
    await this.installation[Symbol.asyncDispose]()
    await this.serverRelay[Symbol.asyncDispose]()
    await this.custodianRelay[Symbol.asyncDispose]()
  }

  async #order(): Promise<void> {
    const { installation, secrets } = this
    for (const [name, key] of storageKeys(installation.data)) secrets.set(name, key)
    for (const [name, key] of operatorSecrets(installation.data)) secrets.set(name, key)
    secrets.set('passphrase or PIN', readFileSync(installation.secretFile))
    await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'ns', PLAIN_NET_ID)
    await addPeer(installation, 'as', AS_ID)
    secrets.set('AS KEK', await setKek(installation, 'as', AS_ID, this.needle.toString('hex'), 32))
    secrets.set('NS KEK', await setKek(installation, 'ns', NET_ID, 'network-1'))
    for (const { macVersion, rootKeys } of this.devices) {
      secrets.set(`AppKey ${macVersion}`, Buffer.from(rootKeys.appKey))
      if (rootKeys.nwkKey) secrets.set('NwkKey', Buffer.from(rootKeys.nwkKey))
    }
    const lines = this.devices.map(deviceLine)
    await installation.mortise('device', 'add', '--file', installation.secret('devices', lines.join('\n')))
  }

  async #join(): Promise<void> {
    const { wrapped, plain } = this.networks
    const joins: [string, NetworkServer, SceneDevice][] = [
      ...this.devices.map((device): [string, NetworkServer, SceneDevice] => [device.macVersion, wrapped, device]),
      ...this.devices.map((device): [string, NetworkServer, SceneDevice] => [
        `${device.macVersion} plain`,
        plain,
        device,
      ]),
    ]
    for (const [name, network, { device }] of joins) {
      const { appSKey, sessionKeyId } = await joinDevice(network, device)
      if (appSKey === undefined || sessionKeyId === undefined) throw new Error('no AppSKey in the answer')
      const asKek = this.secrets.get('AS KEK') ?? Buffer.alloc(0)
      this.secrets.set(`AppSKey ${name}`, Buffer.from(unwrapKeyEnvelope(appSKey, asKek)))
      await this.fetchAppSKey(device, sessionKeyId)
    }
    networkSessionKeys(wrapped).forEach((key, i) => this.secrets.set(`network session key ${i}`, key))
    networkSessionKeys(plain).forEach((key, i) => this.clear.set(`clear network session key ${i}`, key))
  }

  #network(netId: typeof NET_ID, wire: 'wrapped' | 'plain', keks: ReadonlyMap<string, Uint8Array>): NetworkServer {
    const network = new NetworkServer({
      netId,
      protocolVersion: '1.0',
      connect: (onExchange) =>
        connectPeer(this.server, this.#directoryOf(`ns-${netId}`), (request, answer) => {
          this.wire[wire] += `${request}\n${answer}\n`
          onExchange(request, answer)
        }),
      keks,
    })
    this.#cleanup.use(network)
    return network
  }

  /** As the application server of the devices. */
  async fetchAppSKey({ identity }: Device, sessionKeyId: Uint8Array): Promise<void> {
    await using joinServer = connectPeer(this.server, this.#directoryOf(`as-${AS_ID}`), (request, answer) => {
      this.wire.application += `${request}\n${answer}\n`
    })
    using kekRing = new KekRing()
    kekRing.add(this.needle.toString('hex'), this.secrets.get('AS KEK') ?? Buffer.alloc(0))
    const client = new AppSKeyClient({ joinServer, kekRing, asId: AS_ID, protocolVersion: '1.0' })
    await client.fetchAppSKey({ devEui: identity.devEui, joinEui: JOIN_EUI, sessionKeyId })
  }

  /** Where {@link addPeer} put the certificate of a peer. */
  #directoryOf(peer: string): string {
    return join(this.installation.root, `peer-${peer}`)
  }
}

function startHsm(installation: Installation): ServerProcess {
  return installation.startUnder(WITH_CORE_DUMPS, 'hsm', 'serve', '--workers', '1')
}

function newDevice(macVersion: MacVersion): SceneDevice {
  const devEui = parseDevEui(randomBytes(8).toString('hex'))
  const rootKeys = { appKey: randomBytes(16), ...(macVersion === '1.1.0' && { nwkKey: randomBytes(16) }) }
  return { macVersion, rootKeys, device: loadDevice(devEui, macVersion, rootKeys) }
}

/** A line of a file for `mortise device add --file`. */
function deviceLine({ macVersion, device, rootKeys }: SceneDevice): string {
  const { devEui } = device.identity
  const hex = (key: Uint8Array | undefined) => key && Buffer.from(key).toString('hex')
  const keys = { appKey: hex(rootKeys.appKey), nwkKey: hex(rootKeys.nwkKey) }
  return JSON.stringify({ devEui, joinEui: JOIN_EUI, macVersion, ...keys, as: AS_ID, networks: [NET_ID, PLAIN_NET_ID] })
}

/** The storage keys of an installation, as its recovery file gives them to whoever has the recovery key. */
export function storageKeys(data: string): Secrets {
  const recoveryKey = Buffer.from(readFileSync(join(data, 'operator', 'recovery-key'), 'utf8').trim(), 'hex')
  const { blobs } = JSON.parse(readFileSync(join(data, 'recovery.json'), 'utf8')) as { blobs: Record<string, string> }
  return new Map(
    Object.entries(blobs).map(([name, blob]) => {
      const cipher = createDecipheriv('id-aes256-wrap', recoveryKey, Buffer.alloc(8, 0xa6))
      return [name, Buffer.concat([cipher.update(Buffer.from(blob, 'hex')), cipher.final()])]
    }),
  )
}

/** What lies in `DIR/operator`, and has to be nowhere else. */
function operatorSecrets(data: string): Secrets {
  const read = (name: string) => readFileSync(join(data, 'operator', name), 'utf8').trim()
  const privateKey = (name: string) =>
    Buffer.from(createPrivateKey(read(name)).export({ format: 'jwk' }).d ?? '', 'base64url')
  return new Map([
    ['operator key', privateKey('operator-key.pem')],
    ['CA key', privateKey('ca-key.pem')],
    ['recovery key', Buffer.from(read('recovery-key'), 'hex')],
    ['API key', Buffer.from(read('api-key'))],
  ])
}

function networkSessionKeys(network: NetworkServer): Buffer[] {
  if (network.seen.dropped > 0) throw new Error('not all that the network saw was kept')
  return network.seen.entries.flatMap(({ kind, text }) =>
    kind === 'network-session-key' ? [Buffer.from(text, 'hex')] : [],
  )
}
