import { Socket } from 'node:net'
import { type ErrorWithReasonCode, type IConnackPacket, type IPublishPacket, type MqttClient, connect } from 'mqtt'
import type { MqttAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { Acknowledgements, encodePubacks } from './acknowledgements.ts'
import { brokerOptions, VERSION_REFUSED } from './broker-address.ts'
import { PublishWindow } from './publish-window.ts'

/** 4 is MQTT 3.1.1. */
export type ProtocolVersion = 4 | 5

export interface MqttTiming {
  /** After so long without a sign of the broker it is asked for one; half as long again, and the connection is given up. */
  readonly keepaliveSeconds: number
  /** From the first packet to the broker's answer. */
  readonly connectTimeoutMs: number
}

export interface LinkOptions {
  readonly address: MqttAddress
  readonly version: ProtocolVersion
  readonly timing: MqttTiming
  /** Topic filters, each subscribed with QoS 1. */
  readonly subscriptions: readonly string[]
  /** Whether a broker will do that grants QoS 0 only. */
  readonly atMostOnceWillDo: boolean
  /** Resolves when the message is taken over; it is acknowledged then. A rejection ends the connection. */
  readonly onMessage: (topic: string, payload: Uint8Array) => Promise<void>
  readonly onUp: () => void
  /** Called once, and last. `reason` is for an operator. */
  readonly onDown: (end: LinkEnd) => void
}

export interface LinkEnd {
  readonly reason: string
  /** The broker does not speak this version, or hung up before it said that it does. */
  readonly versionDoubtful: boolean
}

/** Of one message, in bytes. Events of network servers have some kilobytes. */
const MAX_MESSAGE_BYTES = 1_048_576

/** How many messages of the broker may be under way at once. */
export const RECEIVE_WINDOW = 100

/** How many of ours may lack the broker's acknowledgement. */
const PUBLISH_WINDOW = 64

const FOR_EVER = 0xffffffff
const GOOD_BYE_MS = 1000
const NOT_ACKNOWLEDGED = new Error('not acknowledged now')

/** One connection to a broker, from the first packet to the last. Its session at the broker outlives it. */
export class MqttLink {
  readonly #options: LinkOptions
  readonly #client: MqttClient
  readonly #acknowledgements = new Acknowledgements()
  #publishes = new PublishWindow(PUBLISH_WINDOW)
  #state: 'opening' | 'up' | 'draining' | 'down' = 'opening'
  #reason: string | undefined
  #answered = false
  #versionRefused = false
  #flushing = false
  #room: (() => void) | undefined
  readonly #ended = Promise.withResolvers<undefined>()

  /** @throws {BridgeError} `config_invalid` */
  constructor(options: LinkOptions) {
    this.#options = options
    const { version, timing } = options
    this.#client = connect({
      ...brokerOptions(options.address),
      protocolVersion: version,
      clean: false,
      reconnectPeriod: 0,
      keepalive: timing.keepaliveSeconds,
      connectTimeout: timing.connectTimeoutMs,
      manualConnect: true,
      resubscribe: false,
      // The library's own log holds packets, and with them the password.
      log: () => undefined,
      ...(version === 5 && {
        properties: {
          sessionExpiryInterval: FOR_EVER,
          receiveMaximum: RECEIVE_WINDOW,
          maximumPacketSize: MAX_MESSAGE_BYTES,
        },
      }),
    })
    // Before the connection: a session that is resumed brings messages at once.
    this.#client.handleMessage = (packet, done) => {
      this.#receive(packet, done)
    }
    this.#client.on('connect', (connack) => {
      this.#connected(connack)
    })
    this.#client.on('disconnect', ({ reasonCode }) => {
      this.#reason ??= `the broker ended the connection (reason ${reasonCode ?? 0})`
    })
    this.#client.on('error', (error) => {
      this.#failed(error)
    })
    this.#client.on('close', () => {
      this.#down()
    })
    this.#client.connect()
    // Nagle's algorithm, which the library leaves on, would hold a message until the broker's TCP has acknowledged the one
    // before, 40 ms later at worst.
    if (this.#client.stream instanceof Socket) this.#client.stream.setNoDelay(true)
  }

  /** @throws {BridgeError} as {@link PublishWindow.publish} */
  async publish(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#state !== 'up') throw new BridgeError('sink_failed', 'There is no connection to the broker.')
    await this.#publishes.publish(this.#client, topic, payload)
  }

  /** Hands on no further message, acknowledges what is under way, and says good-bye. */
  async drain(): Promise<void> {
    if (this.#state !== 'down') this.#state = 'draining'
    if (this.#acknowledgements.size === 0) this.#leave('stopped')
    await this.#ended.promise
  }

  #connected(connack: IConnackPacket): void {
    this.#answered = true
    if (this.#state !== 'opening') return
    this.#publishes = new PublishWindow(
      Math.min(PUBLISH_WINDOW, connack.properties?.receiveMaximum ?? PUBLISH_WINDOW),
      connack.properties?.maximumPacketSize,
    )
    const { subscriptions, atMostOnceWillDo } = this.#options
    if (subscriptions.length === 0) {
      this.#up()
      return
    }
    this.#client.subscribe([...subscriptions], { qos: 1 }, (error, granted) => {
      const refused = error ?? granted?.find(({ qos }) => qos !== 1 && !(qos === 0 && atMostOnceWillDo))
      if (refused === undefined) this.#up()
      else this.#leave('the broker did not grant the subscription with QoS 1')
    })
  }

  #up(): void {
    if (this.#state !== 'opening') return
    this.#state = 'up'
    this.#options.onUp()
  }

  #failed(error: Error | ErrorWithReasonCode): void {
    this.#versionRefused ||= 'code' in error && VERSION_REFUSED.has(error.code)
    this.#reason ??= error.message
    // A stream that could not be opened closes by itself; after a protocol error that is left to us.
    this.#client.stream.destroy()
  }

  #receive(packet: IPublishPacket, done: (error?: Error) => void): void {
    const { topic, payload, qos, messageId, retain } = packet
    if (qos === 2) this.#leave('the broker sent with QoS 2, which was not asked for')
    if (qos === 2 || this.#state === 'down' || this.#state === 'draining' || this.#acknowledgements.refused) {
      done(NOT_ACKNOWLEDGED)
      return
    }
    const entry = this.#acknowledgements.add(qos === 0 ? undefined : messageId)
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    // A broker gives a retained message to every new subscription: it is none that has just been sent.
    const taken = retain ? Promise.resolve() : this.#options.onMessage(topic, bytes)
    taken.then(
      () => {
        entry.taken()
        this.#flushSoon()
      },
      (error: unknown) => {
        entry.refused()
        this.#reason ??= error instanceof Error ? error.message : 'a message could not be taken'
        this.#flushSoon()
      },
    )
    // The library would acknowledge when told that all is well, and read on only then. Told of an error it reads on, and
    // leaves the acknowledgement to us; so that several messages can be under way at once.
    if (this.#acknowledgements.size < RECEIVE_WINDOW) done(NOT_ACKNOWLEDGED)
    else this.#room = () => done(NOT_ACKNOWLEDGED)
  }

  /** All messages that one write to disk has made safe are acknowledged in one write to the connection. */
  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#state === 'down') return
    const packetIds = this.#acknowledgements.next()
    if (packetIds.length > 0) this.#client.stream.write(encodePubacks(packetIds))
    if (this.#acknowledgements.endedByRefusal) this.#leave('a message could not be taken')
    else if (this.#state === 'draining' && this.#acknowledgements.size === 0) this.#leave('stopped')
    if (this.#acknowledgements.size >= RECEIVE_WINDOW) return
    const room = this.#room
    this.#room = undefined
    room?.()
  }

  #leave(reason: string): void {
    this.#reason ??= reason
    const stream = this.#client.stream
    // What was written is sent before the end; a broker that is gone must not keep us.
    const timer = setTimeout(() => stream.destroy(), GOOD_BYE_MS)
    stream.once('close', () => {
      clearTimeout(timer)
    })
    this.#client.end()
  }

  #down(): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#client.end(true)
    this.#publishes.fail('The connection to the broker ended.')
    this.#ended.resolve(undefined)
    this.#options.onDown({
      reason: this.#reason ?? 'the broker ended the connection',
      versionDoubtful: this.#versionRefused || (!this.#answered && this.#reason === undefined),
    })
  }
}
