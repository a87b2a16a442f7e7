import { setTimeout as delay } from 'node:timers/promises'
import {
  ApplicationServerError,
  type Codec,
  CodecError,
  type DeviceSessions,
  type JsonObject,
  type PayloadCodecs,
} from '@mortise/application-server'
import type { DevEui } from '@mortise/lorawan'
import { BridgeError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { DeviceAddress } from '../queue/index.ts'
import type { DownlinkCommand } from '../sink.ts'
import type { DownlinkPath, SealedDownlink } from '../source.ts'
import type { CodecChoices } from './codec-choices.ts'
import { DeviceTurns } from './device-turns.ts'
import { isStoreFailure } from './open-uplink.ts'

export interface DownlinksOptions {
  /** Absent where the network is told of no way. */
  readonly path: DownlinkPath | undefined
  readonly sessions: DeviceSessions
  readonly addressOf: (devEui: DevEui) => DeviceAddress | undefined
  readonly codecs: PayloadCodecs
  readonly choices: CodecChoices
  readonly metrics: Metrics
  readonly log: Log
}

/** Commands that may wait at once, over all devices. */
const MAX_WAITING = 1000

/** A downlink whose fate is not known is sent this often, always as the same frame. */
const MAX_SENDINGS = 5
const FIRST_PAUSE_MS = 500

/** Encodes, seals and sends what applications want sent. */
export class Downlinks {
  readonly #options: DownlinksOptions
  readonly #turns = new DeviceTurns()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #stopping = new AbortController()

  constructor(options: DownlinksOptions) {
    this.#options = options
  }

  get underWay(): number {
    return this.#underWay.size
  }

  /**
   * Resolves when the network has queued the downlink. Of one device they are sent one after the other.
   * @throws {BridgeError} `device_unknown`, `downlink_refused`, `downlink_unavailable`, `downlink_unknown`, `queue_failed`
   */
  async send(command: DownlinkCommand): Promise<void> {
    const { metrics, log } = this.#options
    try {
      await this.#take(command)
      metrics.count('downlinks', { outcome: 'sent' })
    } catch (error) {
      const reason = asBridgeError(error)
      metrics.count('downlinks', { outcome: reason.code })
      log.warn('a downlink was not sent', { devEui: command.devEui, reason: reason.code })
      throw reason
    }
  }

  /** Takes no more, and finishes what is under way; what the network did not answer is not sent again. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#underWay)
  }

  async #take(command: DownlinkCommand): Promise<void> {
    if (this.#stopping.signal.aborted) throw new BridgeError('downlink_unavailable', 'The bridge stops.')
    if (this.#underWay.size >= MAX_WAITING) throw new BridgeError('downlink_unavailable', 'Too many downlinks wait.')
    const turn = this.#turns.run(command.devEui, () => this.#send(command))
    this.#underWay.add(turn)
    try {
      await turn
    } finally {
      this.#underWay.delete(turn)
    }
  }

  async #send({ devEui, fPort, confirmed, payload }: DownlinkCommand): Promise<void> {
    const { path, sessions, addressOf } = this.#options
    if (path === undefined) throw new BridgeError('downlink_refused', 'There is no way for downlinks to this network.')
    const known = addressOf(devEui)
    if (known === undefined) throw new BridgeError('device_unknown', `No event of ${devEui} was seen yet.`)
    const clear = payload instanceof Uint8Array ? { fPort, payload } : await this.#encode(devEui, known, fPort, payload)
    const { address } = known
    const seal = async (next: number | undefined): Promise<SealedDownlink> => {
      return { ...(await sessions.downlink(devEui, clear, next)), confirmed, address }
    }
    const sealed = await seal(await nextFCntDown(path, devEui, address))
    try {
      await this.#sendSealed(path, sealed)
    } catch (error) {
      if (!(error instanceof BridgeError) || error.code !== 'downlink_refused') throw error
      // A refusal may tell how far the network has counted itself.
      const next = await path.nextFCntDown(devEui, address)
      if (next === undefined || next <= sealed.fCnt) throw error
      await this.#sendSealed(path, await seal(next))
    }
  }

  /** The counter is used up with the first sending, whatever comes of it: what is sent again is the same frame. */
  async #sendSealed(path: DownlinkPath, downlink: SealedDownlink): Promise<void> {
    for (let sending = 1; ; sending++) {
      try {
        await path.send(downlink)
        return
      } catch (error) {
        const unknown = error instanceof BridgeError && error.code === 'downlink_unknown'
        if (!unknown || sending === MAX_SENDINGS || this.#stopping.signal.aborted) throw error
        await delay(FIRST_PAUSE_MS * 2 ** (sending - 1), undefined, { signal: this.#stopping.signal }).catch(() => {
          throw error
        })
      }
    }
  }

  async #encode(devEui: DevEui, { profile }: DeviceAddress, fPort: number, data: JsonObject) {
    const codec = this.#options.choices.codecOf(devEui, profile)
    if (codec === undefined) throw new BridgeError('downlink_refused', 'An object needs a codec, and there is none.')
    try {
      const { bytes, fPort: chosen } = await this.#options.codecs.encodeDownlink(codec, { data, fPort })
      if (bytes === undefined) throw this.#codecFailed(codec, 'codec_errors')
      return { fPort: chosen ?? fPort, payload: bytes }
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      throw this.#codecFailed(codec, error.code)
    }
  }

  /** What the codec itself says stays out: it may hold what was to be sent, and a log may show this error. */
  #codecFailed({ name }: Codec, code: string): BridgeError {
    this.#options.metrics.count('codecErrors', { codec: name, code })
    return new BridgeError('downlink_refused', `The codec ${JSON.stringify(name)} did not encode it: ${code}.`)
  }
}

/** Where the network gives no answer, nothing was sealed yet. */
async function nextFCntDown(path: DownlinkPath, devEui: DevEui, address: string): Promise<number | undefined> {
  try {
    return await path.nextFCntDown(devEui, address)
  } catch (cause) {
    if (!(cause instanceof BridgeError) || cause.code !== 'downlink_unknown') throw cause
    throw new BridgeError('downlink_unavailable', cause.message, { cause })
  }
}

function asBridgeError(error: unknown): BridgeError {
  if (error instanceof BridgeError) return error
  if (isStoreFailure(error))
    return new BridgeError('downlink_unavailable', 'The sessions cannot be read.', { cause: error })
  const says = error instanceof ApplicationServerError ? error.message : 'It could not be sent.'
  return new BridgeError('downlink_refused', says, { cause: error })
}
