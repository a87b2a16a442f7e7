import { MqttConnection } from '@mortise/bridge'
import { bytesToHex, hexToBytes } from '@mortise/lorawan'
import type { CommandProcess, Device, Downlink } from '@mortise/simulator'
import { DemoError } from '../narrator.ts'
import { PlayedChirpStackApi, type QueueItem } from './chirpstack-api.ts'
import { type Event, joinEvent, type KnownDevice, upEvent } from './chirpstack-events.ts'
import type { BrokerAccount, Mosquitto } from './mosquitto.ts'
import type { ViewEntry } from './network-view.ts'

export interface NetworkOperatorOptions {
  /** Radio, MAC layer and join server: everything below the integrations of a network server. */
  readonly networkServer: CommandProcess
  readonly broker: Mosquitto
  readonly publisher: BrokerAccount
  readonly auditor: BrokerAccount
  readonly apiPort: number
  readonly apiKey: string
}

const CONNECT_TIMEOUT_MS = 10_000

/** The operator of a public network, with a network server that behaves as ChirpStack v4 does towards its applications. */
export class NetworkOperator implements AsyncDisposable {
  readonly #networkServer: CommandProcess
  readonly #publisher: MqttConnection
  readonly #auditor: MqttConnection
  readonly #api: PlayedChirpStackApi
  readonly #devices = new Map<string, KnownDevice & { nextFCntDown: number }>()
  readonly #queue: QueueItem[] = []
  readonly #seen: ViewEntry[] = []
  /** Payloads of uplinks as they were published, by their event of the day. */
  readonly ciphertexts: Buffer[][] = []

  private constructor({ networkServer, broker, publisher, auditor, apiPort, apiKey }: NetworkOperatorOptions) {
    this.#networkServer = networkServer
    this.#publisher = connectionOf(broker, publisher, [], () => undefined)
    this.#auditor = connectionOf(broker, auditor, ['#'], (topic, body) => {
      this.#seen.push({ kind: 'broker', text: `${topic} ${body.toString()}` })
    })
    this.#api = new PlayedChirpStackApi({
      ...{ port: apiPort, apiKey },
      nextFCntDown: (devEui) => this.#deviceOf(devEui).nextFCntDown,
      enqueue: (item) => {
        const data = item.data.toString('hex')
        this.#seen.push({ kind: 'downlink-queue', text: JSON.stringify({ ...item, data }) })
        this.#queue.push(item)
      },
    })
  }

  static async start(options: NetworkOperatorOptions): Promise<NetworkOperator> {
    const operator = new NetworkOperator(options)
    await operator.#api.start()
    for (const connection of [operator.#publisher, operator.#auditor]) await connected(connection)
    return operator
  }

  /** What waits for the next chance to be sent. */
  get queued(): readonly QueueItem[] {
    return this.#queue
  }

  /** Has a device join, and tells the applications. */
  async join(device: Device): Promise<void> {
    const { devEui, macVersion } = device.identity
    const phyPayload = bytesToHex(await device.joinRequest())
    const activation = await this.#networkServer.request('activate', { phyPayload, macVersion })
    await device.handleJoinAccept(activation.bytes('phyPayload'))
    const appSKey = activation.object('appSKey')
    const known = {
      ...{ devEui, devAddr: activation.text('devAddr'), nextFCntDown: 0 },
      context: {
        sessionKeyId: activation.text('sessionKeyId'),
        appSKey: { kekLabel: appSKey.text('kekLabel'), aesKey: appSKey.text('aesKey') },
      },
    }
    this.#devices.set(devEui, known)
    await this.#publish(joinEvent(known))
  }

  /** Takes a frame from the air and publishes its payload, as it is. `event`: which of the day it is, for statistics. */
  async receive(frame: Uint8Array, event: number): Promise<void> {
    const uplink = await this.#networkServer.request('uplink', { phyPayload: bytesToHex(frame) })
    const device = this.#deviceOf(uplink.text('devEui'))
    device.nextFCntDown = uplink.number('nextFCntDown')
    const data = Buffer.from(uplink.bytes('frmPayload'))
    const ofEvent = (this.ciphertexts[event] ??= [])
    ofEvent.push(data)
    const [fCnt, fPort, confirmed] = [uplink.number('fCnt'), uplink.number('fPort'), uplink.flag('confirmed')]
    await this.#publish(upEvent(device, { fCnt, fPort, confirmed, data }))
  }

  /** Sends what waits for a device, under exactly the counter that the application sealed it for. */
  async send(device: Device): Promise<Downlink> {
    const { devEui } = device.identity
    const index = this.#queue.findIndex((item) => item.devEui === devEui)
    const [item] = index < 0 ? [] : this.#queue.splice(index, 1)
    if (item?.isEncrypted !== true) throw new DemoError(`no encrypted downlink waits for ${devEui}`)
    const { fPort, fCntDown, data } = item
    const frame = await this.#networkServer.request('downlink', {
      ...{ devEui, fPort, fCnt: fCntDown, frmPayload: data.toString('hex') },
    })
    this.#seen.push({ kind: 'frame-sent', text: frame.text('phyPayload') })
    return await device.handleDownlink(hexToBytes(frame.text('phyPayload')))
  }

  /** Everything that came to the operator's knowledge. @throws DemoError when some of it was not recorded */
  async view(): Promise<readonly ViewEntry[]> {
    const seen = await this.#networkServer.request('seen')
    if (seen.number('dropped') > 0) throw new DemoError('the network server saw more than it recorded')
    const ofServer = seen.objects('entries').map((entry) => ({ kind: entry.text('kind'), text: entry.text('text') }))
    return [...ofServer, ...this.#seen]
  }

  /** How many messages went over the broker. */
  get published(): number {
    return this.#seen.filter(({ kind }) => kind === 'broker').length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#publisher.stop()
    await this.#auditor.stop()
    await this.#api[Symbol.asyncDispose]()
  }

  async #publish({ topic, body }: Event): Promise<void> {
    await this.#publisher.publish(topic, body)
  }

  #deviceOf(devEui: string): KnownDevice & { nextFCntDown: number } {
    const device = this.#devices.get(devEui)
    if (device === undefined) throw new DemoError(`the network does not know ${devEui}`)
    return device
  }
}

/** A client of a broker of this play. */
export function connectionOf(
  { url }: Mosquitto,
  { user, password }: BrokerAccount,
  subscriptions: readonly string[],
  onMessage: (topic: string, body: Buffer) => void,
): MqttConnection {
  return new MqttConnection({
    address: { url, clientId: user, username: user, password: Buffer.from(password) },
    subscriptions,
    onMessage: (topic, body) => {
      onMessage(topic, Buffer.from(body))
      return Promise.resolve()
    },
  })
}

/** @throws DemoError */
export async function connected(connection: MqttConnection): Promise<void> {
  connection.start()
  if (!(await connection.connected(CONNECT_TIMEOUT_MS)))
    throw new DemoError(`no connection to a broker: ${connection.problem ?? 'unknown'}`)
}
