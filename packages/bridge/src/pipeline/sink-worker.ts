import { BridgeError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Sink } from '../sink.ts'
import { Fifo } from './fifo.ts'
import { OWN_FAULT, Retries } from './retries.ts'
import type { WaitingEvents } from './waiting-events.ts'
import { reasonOf } from './reason-of.ts'

export interface SinkWorkerOptions {
  readonly sink: Sink
  /** Stands for it in the queue. */
  readonly bit: number
  readonly waiting: WaitingEvents
  readonly metrics: Metrics
  readonly log: Log
  /** How many messages may be under way at once; as many may come twice after a crash. */
  readonly sinkWindow: number
  readonly now: () => number
}

/** So many failures, and nothing between them that was taken: the receiver is down. */
const DOWN_AFTER = 3
/** How many are under way to a receiver that has just refused one for now. */
const ANSWERING_WINDOW = 4
/** How many failures are remembered with a time of their own. */
const MAX_RETRIES = 1000
/** After this long, those beyond it are tried as if they were new. */
const UNPARK_AFTER_MS = 60_000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000

/** Passes events on to one sink, in their order, and tries again for ever what it does not take. */
export class SinkWorker {
  readonly #options: SinkWorkerOptions
  readonly #fifo = new Fifo()
  readonly #retries = new Retries()
  /** Failed too, and more of them than are remembered with a time. */
  readonly #parked = new Fifo()
  #unparkAtMs = Infinity
  /** Whether the last failure was the receiver's own word. */
  #answers = false
  readonly #underWay = new Set<Promise<void>>()
  #failures = 0
  #pauseMs = FIRST_PAUSE_MS
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #wasDisconnected = false

  constructor(options: SinkWorkerOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.sink.name
  }

  get inFlight(): number {
    return this.#underWay.size
  }

  /** How many events wait for this sink beside those under way. */
  get waiting(): number {
    return this.#fifo.size + this.#retries.size + this.#parked.size
  }

  /** Why nothing is passed on at present, in words for an operator. */
  get problem(): string | undefined {
    const { sink } = this.#options
    const problem = sink.problem ?? (this.#isDown ? `the last ${this.#failures} deliveries failed` : undefined)
    return problem === undefined ? undefined : `${sink.name}: ${problem}`
  }

  /** Whether it is not among those that have an event. */
  wants(delivered: number): boolean {
    return (delivered & this.#options.bit) === 0
  }

  enqueue(seq: number): void {
    this.#fifo.push(seq)
    this.#pump()
  }

  /** Finishes what is under way; the rest waits on disk. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await Promise.all(this.#underWay)
  }

  get #isDown(): boolean {
    return this.#failures >= DOWN_AFTER
  }

  #pump(): void {
    if (this.#isWithoutConnection()) return
    if (this.#options.now() >= this.#unparkAtMs) this.#unpark()
    // While the receiver is down, one message at a time shows whether it is back.
    const window = this.#isDown ? 1 : this.#answers ? ANSWERING_WINDOW : this.#options.sinkWindow
    while (!this.#stopped && this.#underWay.size < window && !(this.#isDown && this.#timer !== undefined)) {
      const next = this.#next()
      if (next === undefined) break
      const work = this.#deliver(next.seq, next.attempts)
      this.#underWay.add(work)
      void work.then(() => {
        this.#underWay.delete(work)
        this.#pump()
      })
    }
    if (this.#retries.size > 0) this.#wakeAt(this.#retries.dueAtMs)
    else if (this.#parked.size > 0) this.#wakeAt(this.#unparkAtMs)
  }

  /** What is not even tried keeps its place: as soon as there is a connection, everything goes in its order. */
  #isWithoutConnection(): boolean {
    const { sink, now } = this.#options
    if (sink.isConnected !== false) {
      if (this.#wasDisconnected) this.#retries.allDue()
      this.#wasDisconnected = false
      return false
    }
    this.#wasDisconnected = true
    if (this.waiting > 0) this.#wakeAt(now() + FIRST_PAUSE_MS)
    return true
  }

  #next(): { readonly seq: number; readonly attempts: number } | undefined {
    const due = (): ReturnType<Retries['takeDue']> => this.#retries.takeDue(this.#options.now())
    if (!this.#isDown) return due() ?? this.#first()
    return this.#retries.takeProbe() ?? this.#first() ?? due()
  }

  #first(): { readonly seq: number; readonly attempts: number } | undefined {
    const seq = this.#fifo.shift()
    return seq === undefined ? undefined : { seq, attempts: 0 }
  }

  /** Ends when what became of it is on disk: until then it is among those that may come twice after a crash. */
  async #deliver(seq: number, attempts: number): Promise<void> {
    const { sink, bit, waiting, metrics, now } = this.#options
    try {
      const made = await waiting.message(seq)
      if (made === undefined) return
      await sink.deliver(made.message)
      this.#worked()
      metrics.count('delivered', { sink: sink.name })
      metrics.arrived(sink.name, Math.max(0, now() - made.receivedAtMs) / 1000)
    } catch (error) {
      if (!this.#isFinal(error)) {
        this.#failed(seq, attempts + 1, error)
        return
      }
    }
    await waiting.delivered(seq, bit)
  }

  #worked(): void {
    this.#answers = false
    if (this.#failures === 0) return
    if (this.#isDown) this.#retries.allDue()
    this.#failures = 0
    this.#pauseMs = FIRST_PAUSE_MS
  }

  #isFinal(error: unknown): boolean {
    if (!(error instanceof BridgeError)) return false
    if (error.code !== 'sink_refused' && error.code !== 'event_malformed') return false
    const { sink, metrics, log } = this.#options
    metrics.count('sinkRefused', { sink: sink.name })
    log.warn('a sink refused a message, which is dropped for it', { sink: sink.name, reason: error.code })
    return true
  }

  #failed(seq: number, attempts: number, error: unknown): void {
    const { sink, metrics, log, now } = this.#options
    metrics.count('failed', { sink: sink.name })
    log.warn('a delivery failed, and is tried again', {
      sink: sink.name,
      reason: reasonOf(error),
      problem: sink.problem,
    })
    if (this.#retries.size >= MAX_RETRIES) this.#park(seq)
    // Without a connection it says nothing of this message.
    else this.#retries.add(seq, sink.isConnected === false ? attempts - 1 : attempts, now())
    // What failed again and again says nothing of the receiver.
    if (sink.isConnected === false || attempts > OWN_FAULT) return
    this.#answers = error instanceof BridgeError && error.code === 'sink_busy'
    // It is there: the next message may fare better.
    if (this.#answers) return
    this.#failures++
    if (!this.#isDown || this.#underWay.size > 1) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#wakeAt(now() + this.#pauseMs)
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs)
  }

  #park(seq: number): void {
    this.#parked.push(seq)
    if (this.#unparkAtMs === Infinity) this.#unparkAtMs = this.#options.now() + UNPARK_AFTER_MS
  }

  #unpark(): void {
    this.#unparkAtMs = Infinity
    for (let seq = this.#parked.shift(); seq !== undefined; seq = this.#parked.shift()) this.#fifo.push(seq)
  }

  #wakeAt(atMs = 0): void {
    if (this.#stopped) return
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined
        this.#pump()
      },
      Math.max(1, atMs - this.#options.now()),
    )
  }
}
