import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseDocument } from 'yaml'
import { MqttConnection } from '@mortise/bridge'
import { bytesToHex, type MacVersion } from '@mortise/lorawan'
import type { Device, NetworkServer } from '@mortise/simulator'
import { PlayedChirpStackApi, type QueueItem } from '../../packages/cli/src/demo/doors/chirpstack-api.ts'
import {
  APPLICATION_ID,
  joinEvent,
  type KnownDevice,
  upEvent,
} from '../../packages/cli/src/demo/doors/chirpstack-events.ts'
import { type BrokerAccount, freePort, Mosquitto } from '../../packages/cli/src/demo/doors/mosquitto.ts'
import { Installation, type ServerProcess } from './installation.ts'
import { addPeer, AS_ID, enrolDevice, JOIN_EUI, joinDevice, NET_ID, networkServer } from './parties.ts'

/** A bridge between two real brokers, with everybody whom it needs; all made by the commands that an owner types. */

const API_KEY = 'key-of-the-tenant'
const NETWORK: BrokerAccount = { user: 'network', password: 'n', access: ['topic readwrite #'] }
const OWNER: BrokerAccount = { user: 'owner', password: 'o', access: ['topic readwrite #'] }
const BRIDGE: BrokerAccount = { user: 'bridge', password: 'b', access: ['topic readwrite #'] }
const CODEC = 'function decodeUplink({ bytes }) { return { data: { text: String.fromCharCode(...bytes) } } }'
const PATIENCE_MS = 20_000

export interface Received {
  readonly topic: string
  readonly event: { readonly fCnt?: number; readonly data?: string; readonly object?: { readonly text?: string } }
}

export interface JoinedDevice {
  readonly device: Device
  readonly known: KnownDevice
}

export class BridgeScene implements AsyncDisposable {
  readonly installation: Installation
  readonly config: string
  /** What came to the owner's broker. */
  readonly received: Received[] = []
  /** What went over the network's broker, as text. */
  readonly published: string[] = []
  /** What the bridge queued at the network. */
  readonly queued: QueueItem[] = []
  nextFCntDown = 0
  network!: NetworkServer
  #networkClient!: MqttConnection
  #ownerClient!: MqttConnection
  #cleanup: AsyncDisposableStack

  private constructor(installation: Installation, cleanup: AsyncDisposableStack) {
    this.installation = installation
    this.config = join(installation.root, 'bridge', 'config.yaml')
    this.#cleanup = cleanup
  }

  static async create(): Promise<BridgeScene> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create())
    const certificate = await addPeer(installation, 'ns', NET_ID, ['--dialect', 'chirpstack-4'])
    const server = await installation.serve()
    const scene = new BridgeScene(installation, cleanup)
    const brokers = [
      await Mosquitto.start(join(installation.root, 'network-broker'), [NETWORK, BRIDGE]),
      await Mosquitto.start(join(installation.root, 'owner-broker'), [OWNER, BRIDGE]),
    ] as const
    for (const broker of brokers) cleanup.use(broker)
    await scene.#configure(server, brokers[0], brokers[1])
    scene.network = cleanup.use(networkServer(server, certificate))
    scene.#networkClient = await scene.#connect(brokers[0], NETWORK, (topic, body) => {
      scene.published.push(`${topic} ${body.toString()}`)
    })
    scene.#ownerClient = await scene.#connect(brokers[1], OWNER, (topic, body) => {
      if (topic.includes('/event/'))
        scene.received.push({ topic, event: JSON.parse(body.toString()) as Received['event'] })
    })
    scene.#cleanup = cleanup.move()
    return scene
  }

  /** `mortise bridge run` as a process, when it says that it runs. */
  async run(): Promise<ServerProcess> {
    const bridge = this.installation.startBare('bridge', 'run', '--config', this.config)
    await bridge.says('the bridge runs on')
    return bridge
  }

  /** A device that is enrolled and has joined; its join event is published. */
  async join(macVersion: MacVersion): Promise<JoinedDevice> {
    const { device } = await enrolDevice(this.installation, macVersion)
    const { devEui, devAddr, sessionKeyId, appSKey } = await joinDevice(this.network, device)
    const known = {
      ...{ devEui, devAddr },
      context: {
        sessionKeyId: bytesToHex(sessionKeyId ?? new Uint8Array()),
        appSKey: { kekLabel: appSKey?.kekLabel ?? '', aesKey: bytesToHex(appSKey?.aesKey ?? new Uint8Array()) },
      },
    }
    const { topic, body } = joinEvent(known)
    await this.#networkClient.publish(topic, body)
    return { device, known }
  }

  /** Sends a text, and publishes the uplink as ChirpStack does; `keyless`: it tells the session by its name alone. */
  async say({ device, known }: JoinedDevice, text: string, keyless = false): Promise<void> {
    const uplink = this.network.receiveUplink(await device.uplink({ fPort: 15, payload: Buffer.from(text) }))
    const { fCnt, frmPayload, confirmed } = uplink
    this.nextFCntDown = uplink.nextFCntDown
    const { topic, body } = upEvent(known, { fCnt, fPort: 15, confirmed, data: frmPayload })
    const event = JSON.parse(body.toString()) as { joinServerContext: { appSKey?: object } }
    if (keyless) delete event.joinServerContext.appSKey
    await this.#networkClient.publish(topic, Buffer.from(JSON.stringify(event)))
  }

  /** Publishes a downlink command as applications do, at the owner's broker. */
  async command(devEui: string, body: object): Promise<void> {
    const topic = `application/${APPLICATION_ID}/device/${devEui}/command/down`
    await this.#ownerClient.publish(topic, Buffer.from(JSON.stringify(body)))
  }

  /** The texts that the owner has, in the order in which they came. */
  get texts(): string[] {
    return this.received.map(({ event }) => Buffer.from(event.data ?? '', 'base64').toString())
  }

  /** Waits until the owner has a text. */
  async hears(text: string): Promise<void> {
    await this.until(() => this.texts.includes(text))
  }

  async until(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!holds()) {
      if (Date.now() > deadline) throw new Error('it did not come about in time')
      await delay(20)
    }
  }

  /** Changes a member of the configuration. */
  set(path: readonly (string | number)[], value: unknown): void {
    const document = parseDocument(readFileSync(this.config, 'utf8'))
    document.setIn(path, value)
    writeFileSync(this.config, document.toString())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync()
  }

  async #configure(server: ServerProcess, network: Mosquitto, owner: Mosquitto): Promise<void> {
    const { root } = this.installation
    const directory = join(root, 'bridge')
    const apiPort = await freePort()
    const api = new PlayedChirpStackApi({
      ...{ port: apiPort, apiKey: API_KEY, nextFCntDown: () => this.nextFCntDown },
      enqueue: (item) => {
        this.queued.push(item)
      },
    })
    this.#cleanup.use(api)
    await api.start()
    const { code, stderr } = await this.installation.tryBare(
      ...['bridge', 'init', '--out', directory, '--source', 'chirpstack', '--source-url', network.url],
      ...['--source-user', BRIDGE.user, '--api-url', `http://127.0.0.1:${apiPort}`, '--sink', owner.url],
      ...['--sink-user', BRIDGE.user],
      ...['--join-server', server.biUrl, '--as-id', AS_ID, '--kek-label', 'doors-1'],
    )
    if (code !== 0) throw new Error(stderr)
    await this.installation.mortise('peer', 'add', 'as', '--as-id', AS_ID, '--csr', join(directory, 'as.csr'))
    const kek = ['--label', 'doors-1', '--key-file', join(directory, 'kek.hex')]
    await this.installation.mortise('kek', 'set', '--as', AS_ID, ...kek)
    this.installation.secret('bridge/source-password', `${BRIDGE.password}\n`)
    this.installation.secret('bridge/sink-password', `${BRIDGE.password}\n`)
    this.installation.secret('bridge/api-token', `${API_KEY}\n`)
    this.installation.secret('bridge/text.js', CODEC)
    this.set(['source', 'joinEui'], JOIN_EUI)
    this.set(['codecs'], [{ file: 'text.js' }])
    this.set(['listen'], `127.0.0.1:${await freePort()}`)
  }

  async #connect(
    broker: Mosquitto,
    { user, password }: BrokerAccount,
    onMessage: (topic: string, body: Buffer) => void,
  ): Promise<MqttConnection> {
    const connection = new MqttConnection({
      address: { url: broker.url, clientId: user, username: user, password: Buffer.from(password) },
      subscriptions: ['#'],
      onMessage: (topic, body) => {
        onMessage(topic, Buffer.from(body))
        return Promise.resolve()
      },
    })
    this.#cleanup.use(connection)
    connection.start()
    if (!(await connection.connected(PATIENCE_MS))) throw new Error(connection.problem)
    return connection
  }
}
