import type { DevEui } from '@mortise/lorawan'
import { BridgeError } from '../errors.ts'
import type { ReceivedEvent } from '../network-event.ts'
import type { DeviceAddress } from './device-addresses.ts'
import { lockDirectory } from './directory-lock.ts'
import { openQueueFile } from './queue-file.ts'
import { type DeviceNote, EVERY_SINK, type NewEvent, QueueTable, type WaitingEvent } from './queue-table.ts'

export type { DeviceNote, WaitingEvent } from './queue-table.ts'

export interface EventQueueOptions {
  /** Made when it is not there. */
  readonly directory: string
  /** The names of all sinks. */
  readonly sinks: readonly string[]
  readonly maxEvents: number
  /** Of topics and bodies. */
  readonly maxBytes: number
  /** Milliseconds of Unix time. */
  readonly now?: () => number
}

interface WaitingAppend extends NewEvent {
  readonly resolve: (seq: number | 'copy') => void
  readonly reject: (error: BridgeError) => void
}

/** Bounds how long one transaction holds the event loop. */
const MAX_BATCH = 1024
const TRY_AGAIN_MS = 1000

/**
 * The events that were taken over and that not every sink has, in one SQLite file. What comes in one turn of the event
 * loop is one transaction, because the sync is what a commit costs.
 */
export class EventQueue implements AsyncDisposable {
  readonly #cleanup: DisposableStack
  readonly #table: QueueTable
  readonly #limits: Pick<EventQueueOptions, 'maxEvents' | 'maxBytes'>
  readonly #now: () => number
  #appends: WaitingAppend[] = []
  #appendBytes = 0
  #delivered = new Map<number, number>()
  #deliveryWaiters: (() => void)[] = []
  #scheduled = false
  #retry: NodeJS.Timeout | undefined
  #failure: string | undefined
  #closed = false
  #events: number
  #bytes: number
  /** Events that waited when the queue was opened, by number, ascending. */
  readonly waitingAtStart: readonly number[]

  /** @throws {BridgeError} `queue_unusable`, `directory_in_use`, `config_invalid` */
  constructor({ directory, sinks, maxEvents, maxBytes, now = Date.now }: EventQueueOptions) {
    using cleanup = new DisposableStack()
    cleanup.use(lockDirectory(directory))
    const database = cleanup.adopt(openQueueFile(directory), (opened) => {
      opened.close()
    })
    this.#limits = { maxEvents, maxBytes }
    this.#now = now
    const [table, { seqs, bytes }] = readable(() => {
      const opened = new QueueTable(database, sinks)
      return [opened, opened.scan()] as const
    })
    this.#table = table
    this.waitingAtStart = seqs
    this.#events = seqs.length
    this.#bytes = bytes
    this.#cleanup = cleanup.move()
  }

  /** For each sink, in the order of its names, what {@link EventQueue.delivered} is to be told. */
  get sinkBits(): readonly number[] {
    return this.#table.bits
  }

  /** How many events wait. */
  get events(): number {
    return this.#events
  }

  /** Of their topics and bodies. */
  get bytes(): number {
    return this.#bytes
  }

  get limits(): Pick<EventQueueOptions, 'maxEvents' | 'maxBytes'> {
    return this.#limits
  }

  /** Why events cannot be taken at present, in words for an operator; undefined while all is well. */
  get problem(): string | undefined {
    if (this.#failure !== undefined) return `the disk takes no events: ${this.#failure}`
    const { maxEvents, maxBytes } = this.#limits
    if (this.#events < maxEvents && this.#bytes < maxBytes) return undefined
    return `the queue is full: ${this.#events} events of ${this.#bytes} bytes wait`
  }

  /**
   * Keeps an event: resolves, with its number, when it is safe from a power failure. `copy`: an event of this id waits
   * already, as safe. `id`: 32 hexadecimal digits.
   * @throws {BridgeError} `queue_full`, `queue_failed`
   */
  append(id: string, event: ReceivedEvent, device?: DeviceNote): Promise<number | 'copy'> {
    const size = Buffer.byteLength(event.topic) + event.body.length
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(new BridgeError('queue_failed', 'The queue is closed.'))
      else if (this.#isFull(size)) reject(new BridgeError('queue_full', 'As many events wait as may.'))
      else {
        this.#appendBytes += size
        this.#appends.push({ id, event, device, size, receivedAtMs: this.#now(), resolve, reject })
        this.#schedule()
      }
    })
  }

  /**
   * Notes that the sinks of these bits have an event; when all have it, it is gone. Resolves when a crash of this process
   * does not forget it any more, or when the disk did not take it: then that is tried again.
   */
  delivered(seq: number, bits: number): Promise<void> {
    this.#delivered.set(seq, (this.#delivered.get(seq) ?? 0) | bits)
    return new Promise((resolve) => {
      this.#deliveryWaiters.push(resolve)
      this.#schedule()
    })
  }

  /** As if every sink had it. */
  remove(seq: number): Promise<void> {
    return this.delivered(seq, EVERY_SINK)
  }

  /** @throws {BridgeError} `queue_failed` */
  read(seq: number): WaitingEvent | undefined {
    try {
      return this.#table.read(seq)
    } catch (cause) {
      throw failed(cause)
    }
  }

  /** What the last event of a device told. @throws {BridgeError} `queue_failed` */
  addressOf(devEui: DevEui): DeviceAddress | undefined {
    try {
      return this.#table.addressOf(devEui)
    } catch (cause) {
      throw failed(cause)
    }
  }

  /** Commits what waits, and frees the directory. */
  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      while (this.#appends.length > 0 || this.#deliveryWaiters.length > 0) this.#commit()
      this.#closed = true
      clearTimeout(this.#retry)
      this.#cleanup.dispose()
    }
    return Promise.resolve()
  }

  #isFull(size: number): boolean {
    const { maxEvents, maxBytes } = this.#limits
    return this.#events + this.#appends.length >= maxEvents || this.#bytes + this.#appendBytes + size > maxBytes
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // After the poll phase: everything that this turn brings is in the same transaction.
    setImmediate(() => {
      this.#scheduled = false
      if (!this.#closed) this.#commit()
    })
  }

  #commit(): void {
    const appends = this.#appends.splice(0, MAX_BATCH)
    for (const { size } of appends) this.#appendBytes -= size
    const delivered = this.#delivered
    const waiters = this.#deliveryWaiters
    this.#delivered = new Map()
    this.#deliveryWaiters = []
    if (!this.#append(appends, delivered)) this.#deliver(delivered)
    for (const resolve of waiters) resolve()
    if (this.#appends.length > 0) this.#schedule()
  }

  /** Everything at once; false when that failed, so that what was delivered remains to be written. */
  #append(appends: readonly WaitingAppend[], delivered: ReadonlyMap<number, number>): boolean {
    try {
      const { seqs, events, bytes } = this.#table.write({ appends, delivered })
      this.#count(events, bytes)
      if (appends.length > 0) this.#failure = undefined
      for (const [n, append] of appends.entries()) append.resolve(seqs[n] ?? 'copy')
      return true
    } catch (cause) {
      this.#fail(cause)
      for (const append of appends) append.reject(failed(cause))
      return false
    }
  }

  /** A disk that takes nothing new may still take that something has gone. */
  #deliver(delivered: ReadonlyMap<number, number>): void {
    try {
      this.#table.reuseLog()
      const { events, bytes } = this.#table.write({ appends: [], delivered })
      this.#count(events, bytes)
    } catch (cause) {
      this.#fail(cause)
      for (const [seq, bits] of delivered) this.#delivered.set(seq, (this.#delivered.get(seq) ?? 0) | bits)
    }
  }

  #count(events: number, bytes: number): void {
    this.#events += events
    this.#bytes += bytes
  }

  #fail(cause: unknown): void {
    this.#failure = cause instanceof Error ? cause.message : String(cause)
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      if (!this.#closed) this.#tryAgain()
    }, TRY_AGAIN_MS)
  }

  /** Nothing new may come until the problem is seen to have gone. */
  #tryAgain(): void {
    try {
      this.#table.probe()
      this.#failure = undefined
    } catch (cause) {
      this.#fail(cause)
    }
    if (this.#delivered.size > 0) this.#commit()
  }
}

function failed(cause: unknown): BridgeError {
  return new BridgeError('queue_failed', "The queue's file cannot be read or written.", { cause })
}

function readable<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof BridgeError) throw cause
    const says = cause instanceof Error ? cause.message : String(cause)
    throw new BridgeError('queue_unusable', `The queue cannot be read: ${says}`, { cause })
  }
}
