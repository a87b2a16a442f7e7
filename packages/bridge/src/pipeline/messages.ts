import { type Codec, CodecError, type JsonObject, type PayloadCodecs, type Reading } from '@mortise/application-server'
import { bytesToHex } from '@mortise/lorawan'
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
}

/** Makes of an opened event what sinks get. */
export class MessageMaker {
  readonly #options: MessageMakerOptions

  constructor(options: MessageMakerOptions) {
    this.#options = options
  }

  /** Never rejects: what a codec cannot do stands in the reading. */
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
    try {
      const recvTime = new Date(time)
      const { data, errors } = await this.#options.codecs.decodeUplink(codec, { bytes: payload, fPort, recvTime })
      return data === undefined ? this.#failed(codec, 'codec_errors', errors.join('; ')) : { object: data }
    } catch (error) {
      if (error instanceof CodecError) return this.#failed(codec, error.code, error.detail ?? error.message)
      throw error
    }
  }

  #failed(codec: Codec, code: string, detail: string): Decoded {
    this.#options.metrics.count('codecErrors', { codec: codec.name, code })
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
