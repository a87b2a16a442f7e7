import { type Codec, CodecError, type JsonObject, type PayloadCodecs, type Reading } from '@mortise/application-server'
import { bytesToHex } from '@mortise/lorawan'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { EventShape, ReceivedEvent, UplinkOfNetwork } from '../network-event.ts'
import type { Message, Reading as SinkReading } from '../sink.ts'
import type { CodecChoices } from './codec-choices.ts'
import type { RememberedEvent } from './event-memory.ts'

/** What a codec made of a payload. */
interface Decoded {
  readonly object?: JsonObject | undefined
  readonly codecError?: string | undefined
}

export interface MessageMakerOptions {
  /** The network's name, in readings. */
  readonly source: string
  readonly shape: EventShape
  readonly codecs: PayloadCodecs
  readonly choices: CodecChoices
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

/** A codec that ran out of time so often, one call after the other, is left out for a while: all others wait behind it. */
const MAX_TIMEOUTS = 3
const SUSPENDED_MS = 60_000

interface SlowCodec {
  timeouts: number
  untilMs: number
}

/** Makes of an opened event what sinks get. */
export class MessageMaker {
  readonly #options: MessageMakerOptions
  /** By name, of which an owner has few. */
  readonly #slow = new Map<string, SlowCodec>()

  constructor(options: MessageMakerOptions) {
    this.#options = options
  }

  /** What a codec cannot do stands in the reading. */
  async make({ event, network, reading }: RememberedEvent): Promise<Message> {
    if (network.kind !== 'uplink' || reading === undefined) return { event }
    const { source, shape } = this.#options
    const decoded = await this.#decode(network, reading)
    return new ClearMessage(readingOf(network, reading, decoded, source), () => ({
      topic: event.topic,
      body: shape.fill(event, { data: reading.payload, object: decoded.object }),
    }))
  }

  async #decode({ devEui, deviceProfile, time }: UplinkOfNetwork, { payload, fPort }: Reading): Promise<Decoded> {
    const codec = this.#options.choices.codecOf(devEui, deviceProfile)
    if (codec === undefined) return {}
    if ((this.#slow.get(codec.name)?.untilMs ?? 0) > this.#options.now()) {
      return this.#failed(codec, 'codec_suspended', 'it took too long again and again')
    }
    try {
      const recvTime = new Date(time)
      const { data, errors } = await this.#options.codecs.decodeUplink(codec, { bytes: payload, fPort, recvTime })
      this.#slow.delete(codec.name)
      return data === undefined ? this.#failed(codec, 'codec_errors', errors.join('; ')) : { object: data }
    } catch (error) {
      if (error instanceof CodecError && error.code === 'codec_timeout') this.#tookTooLong(codec)
      if (error instanceof CodecError) return this.#failed(codec, error.code, error.detail ?? error.message)
      throw error
    }
  }

  #tookTooLong({ name }: Codec): void {
    const slow = this.#slow.get(name) ?? { timeouts: 0, untilMs: 0 }
    this.#slow.set(name, slow)
    slow.timeouts++
    if (slow.timeouts < MAX_TIMEOUTS) return
    // One call after the pause shows whether it is still so.
    slow.timeouts = MAX_TIMEOUTS - 1
    slow.untilMs = this.#options.now() + SUSPENDED_MS
  }

  #failed(codec: Codec, code: string, detail: string): Decoded {
    const { metrics, log } = this.#options
    metrics.count('codecErrors', { codec: codec.name, code })
    log.warn('a codec failed', { codec: codec.name, code })
    return { codecError: `${codec.name}: ${code}: ${detail}` }
  }
}

/** An uplink in clear. The network's own form of it is made for the sinks that want it, once. */
class ClearMessage implements Message {
  readonly reading: SinkReading
  readonly #fill: () => ReceivedEvent
  #event: ReceivedEvent | undefined

  constructor(reading: SinkReading, fill: () => ReceivedEvent) {
    this.reading = reading
    this.#fill = fill
  }

  get event(): ReceivedEvent {
    return (this.#event ??= this.#fill())
  }
}

function readingOf(network: UplinkOfNetwork, reading: Reading, decoded: Decoded, source: string): SinkReading {
  const { sessionKeyId } = network.uplink
  return {
    devEui: network.devEui,
    deviceName: network.deviceName,
    time: network.time,
    fPort: reading.fPort,
    fCnt: reading.fCnt,
    sessionKeyId: sessionKeyId === undefined ? undefined : bytesToHex(sessionKeyId),
    session: reading.session,
    data: Buffer.from(reading.payload).toString('base64'),
    object: decoded.object,
    codecError: decoded.codecError,
    rx: network.rx,
    source,
  }
}
