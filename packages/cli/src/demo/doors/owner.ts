import type { MqttConnection } from '@mortise/bridge'
import { setTimeout as delay } from 'node:timers/promises'
import { DemoError } from '../narrator.ts'
import type { DoorState } from './door.ts'
import type { BrokerAccount, Mosquitto } from './mosquitto.ts'
import { connected, connectionOf } from './network-operator.ts'

const PATIENCE_MS = 30_000
const EVENT = /^application\/([^/]+)\/device\/([0-9a-f]{16})\/event\/up$/

/** The owner's application: it subscribes at the owner's broker to what it always did, and knows nothing of encryption. */
export class DoorCounter implements AsyncDisposable {
  readonly #connection: MqttConnection
  /** What each door did, by what its codec says, in the order in which it came; copies are dropped. */
  readonly #doors = new Map<string, Map<number, DoorState>>()
  #applicationId = ''

  private constructor(broker: Mosquitto, account: BrokerAccount) {
    this.#connection = connectionOf(broker, account, ['application/+/device/+/event/+'], (topic, body) => {
      const [, applicationId, devEui] = EVENT.exec(topic) ?? []
      if (applicationId === undefined || devEui === undefined) return
      this.#applicationId = applicationId
      const { fCnt, object } = JSON.parse(body.toString()) as { fCnt: number; object?: { door?: DoorState } }
      if (object?.door === undefined) return
      const events = this.#doors.get(devEui) ?? new Map<number, DoorState>()
      this.#doors.set(devEui, events.set(fCnt, object.door))
    })
  }

  static async start(broker: Mosquitto, account: BrokerAccount): Promise<DoorCounter> {
    const counter = new DoorCounter(broker, account)
    await connected(counter.#connection)
    return counter
  }

  get readings(): number {
    return this.#all.length
  }

  countOf(state: DoorState): number {
    return this.#all.filter((one) => one === state).length
  }

  /** Doors whose last word this was. */
  nowIn(state: DoorState): number {
    return [...this.#doors.values()].filter((events) => events.get(Math.max(...events.keys())) === state).length
  }

  /** @throws DemoError when they do not come */
  async waitFor(readings: number): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (this.readings < readings) {
      if (Date.now() > deadline) throw new DemoError(`${this.readings} of ${readings} readings came`)
      await delay(50)
    }
  }

  /** Publishes a downlink as applications of ChirpStack do, in clear, at the owner's own broker. */
  async command(devEui: string, fPort: number, payload: Buffer): Promise<void> {
    const topic = `application/${this.#applicationId}/device/${devEui}/command/down`
    const body = { devEui, confirmed: false, fPort, data: payload.toString('base64') }
    await this.#connection.publish(topic, Buffer.from(JSON.stringify(body)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.stop()
  }

  get #all(): DoorState[] {
    return [...this.#doors.values()].flatMap((events) => [...events.values()])
  }
}
