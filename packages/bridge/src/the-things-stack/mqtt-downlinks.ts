import { setTimeout as sleep } from 'node:timers/promises'
import type { DevEui } from '@mortise/lorawan'
import type { MqttAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { MqttConnection } from '../mqtt/index.ts'
import type { DownlinkPath, SealedDownlink } from '../source.ts'
import { decodeAddress } from './device-address.ts'
import { downlinkMessage, nextFCntDown } from './downlink-message.ts'
import { pushTopic } from './topics.ts'

const CONNECT_MS = 10_000
const ANSWER_MS = 10_000

/**
 * Downlinks by MQTT. The broker's acknowledgement says that it has the message, not that the Network Server queued it:
 * what becomes of it is told in events (`down/queued`, `down/failed`). The HTTP API tells at once.
 */
export class TheThingsStackMqttDownlinks implements DownlinkPath {
  readonly #connection: MqttConnection

  /** @throws {BridgeError} `config_invalid` */
  constructor(address: MqttAddress) {
    this.#connection = new MqttConnection({
      // Two connections of one name would end each other.
      address: { ...address, clientId: `${address.clientId}-downlinks` },
      subscriptions: [],
      onMessage: () => Promise.resolve(),
    })
  }

  nextFCntDown(_devEui: DevEui, address: string): Promise<number> {
    return Promise.resolve(nextFCntDown(decodeAddress(address)))
  }

  async send(downlink: SealedDownlink): Promise<void> {
    const address = decodeAddress(downlink.address)
    const message = Buffer.from(downlinkMessage(downlink, address))
    this.#connection.start()
    if (!(await this.#connection.connected(CONNECT_MS))) throw unknown(this.#connection.problem ?? 'no connection')
    const published = this.#connection.publish(pushTopic(address.applicationUid, address.deviceId), message)
    // Without an answer the message stays with the connection, and is settled when that ends.
    published.catch(() => undefined)
    const late = sleep(ANSWER_MS, undefined, { ref: false }).then(() => {
      throw unknown('no acknowledgement')
    })
    await Promise.race([published, late]).catch((error: unknown) => {
      if (!(error instanceof BridgeError) || error.code === 'downlink_unknown') throw error
      if (error.code !== 'sink_refused') throw unknown(error.message, error)
      throw new BridgeError('downlink_refused', `The broker of The Things Stack refused it: ${error.message}`, {
        cause: error,
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.stop()
  }
}

function unknown(reason: string, cause?: unknown): BridgeError {
  return new BridgeError('downlink_unknown', `The broker of The Things Stack did not take the downlink: ${reason}.`, {
    cause,
  })
}
