import type { MqttClient } from 'mqtt'
import { BridgeError } from '../errors.ts'

/** MQTT 5.0 §2.4: the topic, the size or the content is what the broker will never take. */
const NEVER = new Set([144, 149, 153])

/** Room for the fixed header and the properties of a PUBLISH (MQTT 5.0 §3.3), beside topic and payload. */
const PUBLISH_OVERHEAD_BYTES = 32

/** Messages on their way to a broker over one connection: each is settled by its PUBACK, or when the connection ends. */
export class PublishWindow {
  readonly #limit: number
  readonly #maximumPacketSize: number
  readonly #waiting: (() => void)[] = []
  readonly #failures = new Set<(reason: BridgeError) => void>()
  #ended: string | undefined

  /** `maximumPacketSize` in bytes, where the broker tells it. */
  constructor(limit: number, maximumPacketSize = Number.POSITIVE_INFINITY) {
    this.#limit = limit
    this.#maximumPacketSize = maximumPacketSize
  }

  /**
   * Sends with QoS 1, and resolves with the acknowledgement.
   * @throws {BridgeError} `sink_failed`, `sink_refused`: larger than the broker takes, or refused for what it is
   */
  async publish(client: MqttClient, topic: string, payload: Uint8Array): Promise<void> {
    if (Buffer.byteLength(topic) + payload.length + PUBLISH_OVERHEAD_BYTES > this.#maximumPacketSize) {
      throw new BridgeError('sink_refused', 'The message is larger than the broker takes.')
    }
    while (this.#failures.size >= this.#limit && this.#ended === undefined) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    if (this.#ended !== undefined) throw new BridgeError('sink_failed', this.#ended)
    await this.#send(client, topic, payload)
  }

  /** The connection has ended: nothing will be acknowledged any more. */
  fail(reason: string): void {
    this.#ended = reason
    for (const reject of this.#failures) reject(new BridgeError('sink_failed', reason))
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #send(client: MqttClient, topic: string, payload: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    this.#failures.add(reject)
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    client.publish(topic, bytes, { qos: 1 }, (error) => {
      if (error) reject(failure(error))
      else resolve(undefined)
    })
    try {
      await promise
    } finally {
      this.#failures.delete(reject)
      this.#waiting.shift()?.()
    }
  }
}

function failure(error: Error & { readonly code?: unknown }): BridgeError {
  const code = typeof error.code === 'number' && NEVER.has(error.code) ? 'sink_refused' : 'sink_failed'
  return new BridgeError(code, `The broker did not take the message: ${error.message}.`, { cause: error })
}
