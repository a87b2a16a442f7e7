import { BridgeError } from '../../src/errors.ts'
import type { EventShape, ReceivedEvent } from '../../src/network-event.ts'
import type { DownlinkCommand, Message, Sink } from '../../src/sink.ts'
import type { DownlinkPath, SealedDownlink, Source, TakeEvent } from '../../src/source.ts'
import { SHAPE } from './world.ts'

/** A network that sends an event again until it was acknowledged, as a broker does in QoS 1. */
export class TestSource implements Source {
  readonly shape: EventShape = SHAPE
  problem: string | undefined
  #take: TakeEvent | undefined
  /** Codes with which events were not taken. */
  readonly refusals: unknown[] = []
  stopped = false

  start(take: TakeEvent): Promise<void> {
    this.#take = take
    return Promise.resolve()
  }

  /** Whether each was acknowledged. */
  async send(...events: readonly ReceivedEvent[]): Promise<boolean[]> {
    return await Promise.all(events.map((event) => this.#send(event)))
  }

  async #send(event: ReceivedEvent): Promise<boolean> {
    if (this.#take === undefined || this.stopped) throw new Error('the source does not run')
    try {
      await this.#take(event)
      return true
    } catch (error) {
      this.refusals.push(error instanceof BridgeError ? error.code : error)
      return false
    }
  }

  stop(): Promise<void> {
    this.stopped = true
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** A receiver that can be down, refuse, or keep messages until it is told to take them. */
export class TestSink implements Sink {
  readonly name: string
  readonly received: Message[] = []
  problem: string | undefined
  down = false
  /** As of a connection that is lost and made anew. */
  isConnected?: boolean
  /** Whether a failure is its own answer. */
  answers = false
  /** Messages that it will never take. */
  refuses: (message: Message) => boolean = () => false
  /** Messages that fail while others do not. */
  fails: (message: Message) => boolean = () => false
  attempts = 0
  underWay = 0
  mostUnderWay = 0
  stopped = false
  #gate: Promise<void> | undefined
  #command: ((command: DownlinkCommand) => Promise<void>) | undefined

  constructor(name: string) {
    this.name = name
  }

  start(command: (command: DownlinkCommand) => Promise<void>): Promise<void> {
    this.#command = command
    return Promise.resolve()
  }

  async deliver(message: Message): Promise<void> {
    this.attempts++
    this.underWay++
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay)
    try {
      await new Promise(setImmediate)
      await this.#gate
      if (this.down || this.isConnected === false || this.fails(message)) {
        throw new BridgeError(this.answers ? 'sink_busy' : 'sink_failed', 'It is down.')
      }
      if (this.refuses(message)) throw new BridgeError('sink_refused', 'It is never taken.')
      this.received.push(message)
    } finally {
      this.underWay--
    }
  }

  /** Keeps messages under way until the result is called. */
  hold(): () => void {
    const gate = Promise.withResolvers<undefined>()
    this.#gate = gate.promise
    return () => {
      this.#gate = undefined
      gate.resolve(undefined)
    }
  }

  async command(command: DownlinkCommand): Promise<void> {
    if (this.#command === undefined) throw new Error('the sink does not run')
    await this.#command(command)
  }

  /** The readings as text, in the order in which they came. */
  get texts(): string[] {
    return this.received.map(({ reading, event }) =>
      reading === undefined ? event.topic : Buffer.from(reading.data, 'base64').toString(),
    )
  }

  stop(): Promise<void> {
    this.stopped = true
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** A network's queue of downlinks. */
export class TestPath implements DownlinkPath {
  readonly sent: SealedDownlink[] = []
  /** What the next sendings come to; they go well when there is nothing. */
  readonly outcomes: ('downlink_refused' | 'downlink_unknown')[] = []
  next: number | undefined
  nextAfterRefusal: number | undefined

  isAway = false

  nextFCntDown(): Promise<number | undefined> {
    if (this.isAway) return Promise.reject(new BridgeError('downlink_unknown', 'No answer.'))
    return Promise.resolve(this.next)
  }

  async send(downlink: SealedDownlink): Promise<void> {
    await new Promise(setImmediate)
    this.sent.push(downlink)
    const outcome = this.outcomes.shift()
    if (outcome === 'downlink_refused') this.next = this.nextAfterRefusal ?? this.next
    if (outcome !== undefined) throw new BridgeError(outcome, 'The network says so.')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
