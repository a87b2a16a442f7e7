import { DeviceEvents, type DeviceEventsOptions } from './device-events.ts'
import { DeviceTurns } from './device-turns.ts'
import { Fifo } from './fifo.ts'
import { reasonOf } from './reason-of.ts'
import { UntilItWorks } from './until-it-works.ts'

/** How many events are under way at once: each may wait for the join server. */
const WINDOW = 256
const DUE_EVERY_MS = 1000

/** Opens events in the order in which they came: those of one device one after the other, devices side by side. */
export class Opener {
  readonly #options: DeviceEventsOptions
  readonly #events: DeviceEvents
  readonly #disk: UntilItWorks
  readonly #fifo = new Fifo()
  readonly #turns = new DeviceTurns()
  readonly #stopping = new AbortController()
  readonly #underWay = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #failed = 0

  constructor(options: DeviceEventsOptions) {
    this.#options = options
    this.#disk = new UntilItWorks(this.#stopping.signal)
    this.#events = new DeviceEvents(options, this.#disk)
  }

  /** Why nothing can be opened at present, in words for an operator. */
  get problem(): string | undefined {
    const stuck =
      this.#failed === 0 ? undefined : `${this.#failed} events could not be opened, and wait for the next start`
    return this.#disk.problem ?? stuck
  }

  /** How many uplinks wait for a session or a key. */
  get putOff(): number {
    return this.#events.putOff
  }

  /** How many events wait for their turn. */
  get waiting(): number {
    return this.#fifo.size
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (const devEui of this.#events.due()) this.#track(this.#turns.run(devEui, () => this.#events.retry(devEui)))
    }, DUE_EVERY_MS)
  }

  enqueue(seq: number): void {
    this.#fifo.push(seq)
    this.#pump()
  }

  /** Finishes what is under way; the rest waits on disk. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort()
    await Promise.all(this.#underWay)
  }

  #pump(): void {
    while (this.#underWay.size < WINDOW && !this.#stopping.signal.aborted) {
      const seq = this.#fifo.shift()
      if (seq === undefined) return
      this.#track(this.#begin(seq))
    }
  }

  async #begin(seq: number): Promise<void> {
    const event = await this.#disk.run(() => this.#options.waiting.load(seq))
    if (event === undefined) return
    const { network } = event
    if (network.kind === 'other') this.#options.opened(event)
    else await this.#turns.run(network.devEui, () => this.#events.open(event))
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch((error: unknown) => {
      // What was not opened waits on disk, and is opened by the next process.
      if (this.#stopping.signal.aborted) return
      this.#failed++
      this.#options.metrics.count('stuck', { reason: reasonOf(error) })
      this.#options.log.warn('an event could not be opened, and waits for the next start', { reason: reasonOf(error) })
    })
    this.#underWay.add(tracked)
    void tracked.then(() => {
      this.#underWay.delete(tracked)
      this.#pump()
    })
  }
}
