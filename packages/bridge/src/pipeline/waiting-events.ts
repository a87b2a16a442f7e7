import type { DeviceSessions } from '@mortise/application-server'
import { BridgeError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { EventShape, NetworkEvent, ReceivedEvent } from '../network-event.ts'
import type { EventQueue } from '../queue/index.ts'
import type { Message } from '../sink.ts'
import { EventMemory, type RememberedEvent } from './event-memory.ts'
import type { MessageMaker } from './messages.ts'
import { openUplink } from './open-uplink.ts'

export interface WaitingEventsOptions {
  readonly queue: EventQueue
  readonly shape: EventShape
  readonly sessions: DeviceSessions
  readonly messages: MessageMaker
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

/** The events that wait, from memory or from disk. */
export class WaitingEvents {
  readonly #options: WaitingEventsOptions
  readonly #memory = new EventMemory()
  readonly #all: number

  constructor(options: WaitingEventsOptions) {
    this.#options = options
    this.#all = options.queue.sinkBits.reduce((all, bit) => all | bit, 0)
  }

  /** One that was just put on disk. */
  remember(seq: number, event: ReceivedEvent, network: NetworkEvent): void {
    this.#memory.put({ seq, event, network, receivedAtMs: this.#options.now(), delivered: 0 })
  }

  /** Undefined when it has gone. @throws {BridgeError} `queue_failed` */
  load(seq: number): RememberedEvent | undefined {
    const known = this.#memory.get(seq)
    if (known !== undefined) return known
    const row = this.#options.queue.read(seq)
    if (row === undefined) return undefined
    const network = this.#parse(seq, row.event)
    if (network === undefined) return undefined
    const event = { seq, network, ...row }
    this.#memory.put(event)
    return event
  }

  /**
   * What sinks get of an opened event, made once as long as it is in memory; undefined when it has gone.
   * @throws {ApplicationServerError} `store_failed`
   * @throws {BridgeError} `queue_failed`; `sink_failed`: its key is not to be had at present
   */
  async message(seq: number): Promise<{ readonly message: Message; readonly receivedAtMs: number } | undefined> {
    const event = this.load(seq)
    if (event === undefined) return undefined
    event.message ??= this.#make(event).catch((error: unknown) => {
      event.message = undefined
      throw error
    })
    const message = await event.message
    return message === undefined ? undefined : { message, receivedAtMs: event.receivedAtMs }
  }

  /** Sinks have it, or will never take it. Resolves when that is on disk. */
  async delivered(seq: number, bit: number): Promise<void> {
    const known = this.#memory.get(seq)
    if (known !== undefined) {
      known.delivered |= bit
      if ((known.delivered & this.#all) === this.#all) this.#memory.remove(seq)
    }
    await this.#options.queue.delivered(seq, bit)
  }

  /** No sink is to have it. */
  drop(seq: number): void {
    this.#memory.remove(seq)
    void this.#options.queue.remove(seq)
  }

  #parse(seq: number, event: ReceivedEvent): NetworkEvent | undefined {
    try {
      return this.#options.shape.parse(event)
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      this.#lose(seq, error.code)
      return undefined
    }
  }

  async #make(event: RememberedEvent): Promise<Message | undefined> {
    if (event.network.kind === 'uplink' && event.reading === undefined) {
      const opening = await openUplink(this.#options.sessions, event.network.uplink)
      if (opening.kind === 'put_off')
        throw new BridgeError('sink_failed', `It cannot be opened again: ${opening.reason}.`)
      if (opening.kind === 'impossible') {
        this.#lose(event.seq, opening.reason)
        return undefined
      }
      event.reading = opening.reading
    }
    return await this.#options.messages.make(event)
  }

  #lose(seq: number, reason: string): void {
    this.#options.metrics.count('dropped', { reason })
    this.#options.log.warn('an event that waited was dropped', { reason })
    this.drop(seq)
  }
}
