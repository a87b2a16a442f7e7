import type { MqttAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { brokerName, brokerOptions } from './broker-address.ts'
import { type LinkEnd, MqttLink, type MqttTiming, type ProtocolVersion } from './link.ts'

export type MqttTimingOptions = Partial<MqttTiming & { readonly backOffMs: number }>

export interface MqttConnectionOptions {
  readonly address: MqttAddress
  /** Topic filters; none for a connection that only publishes. */
  readonly subscriptions: readonly string[]
  /** Whether a broker will do that grants QoS 0 only, so that what is sent while there is no connection is lost. */
  readonly atMostOnceWillDo?: boolean | undefined
  /**
   * Takes a message over: it is acknowledged when this resolves. If it rejects the message is not, and the broker sends it
   * again over the next connection.
   */
  readonly onMessage: (topic: string, payload: Uint8Array) => Promise<void>
  readonly timing?: MqttTimingOptions | undefined
}

const DEFAULT_TIMING = { keepaliveSeconds: 30, connectTimeoutMs: 10_000, backOffMs: 500 }

const MAX_BACK_OFF_MS = 30_000

/** A connection that stood so long was a good one: the next failure begins with the shortest pause again. */
const STEADY_MS = 60_000

/**
 * A connection to a broker that is made again for ever. Its session is kept at the broker, so that what comes in between
 * waits there. MQTT 5 is tried first, for its reasons and limits; then 3.1.1, in turns until the broker took one.
 */
export class MqttConnection implements AsyncDisposable {
  readonly #options: MqttConnectionOptions
  readonly #timing: MqttTiming & { readonly backOffMs: number }
  readonly #name: string
  #link: MqttLink | undefined
  #timer: NodeJS.Timeout | undefined
  #version: ProtocolVersion = 5
  #versionKnown = false
  #failures = 0
  #upSinceMs: number | undefined
  readonly #waiting = new Set<(connected: boolean) => void>()
  #stopped = false
  #problem: string | undefined = 'not connected yet'

  /** @throws {BridgeError} `config_invalid` */
  constructor(options: MqttConnectionOptions) {
    brokerOptions(options.address)
    this.#options = options
    this.#timing = { ...DEFAULT_TIMING, ...options.timing }
    this.#name = brokerName(options.address)
  }

  /** Why there is no connection; undefined while it stands and is subscribed. */
  get problem(): string | undefined {
    return this.#problem === undefined ? undefined : `${this.#name}: ${this.#problem}`
  }

  start(): void {
    if (this.#stopped || this.#link !== undefined) return
    const { address, subscriptions, atMostOnceWillDo = false, onMessage } = this.#options
    this.#link = new MqttLink({
      address,
      subscriptions,
      atMostOnceWillDo,
      version: this.#version,
      timing: this.#timing,
      onMessage: async (topic, payload) => {
        await onMessage(topic, payload)
        this.#failures = 0
      },
      onUp: () => {
        this.#versionKnown = true
        this.#upSinceMs = performance.now()
        this.#problem = undefined
        for (const resolve of this.#waiting) resolve(true)
      },
      onDown: (end) => {
        this.#down(end)
      },
    })
  }

  /**
   * Sends with QoS 1 and resolves when the broker has it.
   * @throws {BridgeError} `sink_failed`, `sink_refused`
   */
  async publish(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#link === undefined) throw new BridgeError('sink_failed', 'There is no connection to the broker.')
    await this.#link.publish(topic, payload)
  }

  /** Whether there is a connection, or one is made within so long. */
  async connected(timeoutMs: number): Promise<boolean> {
    if (this.#problem === undefined) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(resolve, timeoutMs, false)
    this.#waiting.add(resolve)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(resolve)
    }
  }

  /** Hands on no further message, waits for what is under way, acknowledges it, and closes. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#link?.drain()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #down({ reason, versionDoubtful }: LinkEnd): void {
    this.#link = undefined
    this.#problem = this.#stopped ? 'stopped' : reason
    if (this.#stopped) return
    if (versionDoubtful && !this.#versionKnown) this.#version = this.#version === 5 ? 4 : 5
    if (this.#upSinceMs !== undefined && performance.now() - this.#upSinceMs > STEADY_MS) this.#failures = 0
    this.#upSinceMs = undefined
    this.#timer = setTimeout(
      () => {
        this.start()
      },
      backOff(this.#timing.backOffMs, this.#failures),
    )
    this.#failures += 1
  }
}

/** Doubles up to half a minute; half of it by chance, so that many clients do not come back in one moment. */
function backOff(shortestMs: number, failures: number): number {
  const longest = Math.min(shortestMs * 2 ** Math.min(failures, 16), MAX_BACK_OFF_MS)
  return longest / 2 + (longest / 2) * Math.random()
}
