import { RefusedError } from './load-answer.ts'
import { Latencies } from './latencies.ts'
import { type ConnectionEvents, LoadConnection, type LoadTarget } from './load-connection.ts'
import type { LoadExchange, LoadSource } from './load-source.ts'

export interface LoadOptions {
  /** Requests under way at once, at most. */
  readonly connections: number
  /** `new`: each request has a new connection, which stays open and idle afterwards. */
  readonly connect: 'kept-alive' | 'new'
  /** With `new`: so many idle connections stay open, then the oldest is closed. */
  readonly idleConnections: number
  /** Requests a second; `undefined`: as many as are answered. */
  readonly rate: number | undefined
}

/** What was answered in a stretch of time. */
export interface LoadWindow {
  readonly seconds: number
  readonly answered: number
  /** Of these, joins that were refused. */
  readonly refused: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** At the end: connections without a request. */
  readonly idle: number
  /** At the end: all connections whose handshake is done. */
  readonly connected: number
}

/** What became of everything that was sent. */
export interface LoadTotals {
  readonly answered: number
  /** Answers that were found right. */
  readonly checked: number
  /** Answers that were wrong, refusals, and requests without an answer. */
  readonly failed: number
  /** Of these, joins that were refused. */
  readonly refused: number
  readonly firstFailure: string | undefined
}

interface UnderWay {
  readonly exchange: LoadExchange
  readonly startedAt: number
}

const TICK_MS = 1
/** Handshakes under way at once: more of them would only wait for one another. */
const MAX_HANDSHAKES = 256
const LAST_ANSWERS_MS = 15_000

/**
 * Sends the requests of a source and takes the times of the answers. Each answer is checked, but only after the next
 * request is on its way, so that checking is no part of what is measured.
 */
export class LoadGenerator implements ConnectionEvents {
  readonly #target: LoadTarget
  readonly #source: LoadSource
  readonly #underWay = new Map<LoadConnection, UnderWay>()
  /** Connections without a request; the first was idle for longest. */
  readonly #idle = new Set<LoadConnection>()
  readonly #handshakes = new Set<LoadConnection>()
  /** With a rate: when each request that has not been sent yet was due. */
  readonly #due: number[] = []
  #options: LoadOptions | undefined
  #pacer: NodeJS.Timeout | undefined
  #unchecked: { exchange: LoadExchange; status: number; body: string }[] = []
  #latencies = new Latencies()
  #totals = noTotals()

  constructor(target: LoadTarget, source: LoadSource) {
    this.#target = target
    this.#source = source
  }

  start(options: LoadOptions): void {
    this.#options = options
    this.#totals = noTotals()
    if (options.rate !== undefined) this.#pace(options.rate)
    this.#pump()
  }

  /** Takes the times of the next `seconds`. */
  async window(seconds: number): Promise<LoadWindow> {
    this.#latencies = new Latencies()
    const refusedBefore = this.#totals.refused
    const startedAt = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
    const elapsed = (performance.now() - startedAt) / 1000
    const [p50Ms = 0, p99Ms = 0, maxMs = 0] = this.#latencies.quantiles([0.5, 0.99, 1])
    const refused = this.#totals.refused - refusedBefore
    return { seconds: elapsed, answered: this.#latencies.count, refused, p50Ms, p99Ms, maxMs, ...this.#connections }
  }

  get #connections(): { idle: number; connected: number } {
    return { idle: this.#idle.size, connected: this.#idle.size + this.#underWay.size - this.#handshakes.size }
  }

  /** Sends no more, waits for what is under way, and closes all connections that carry no request. */
  async stop(): Promise<LoadTotals> {
    this.#options = undefined
    clearInterval(this.#pacer)
    this.#due.length = 0
    const deadline = performance.now() + LAST_ANSWERS_MS
    while (this.#underWay.size > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5))
    for (const connection of [...this.#underWay.keys(), ...this.#idle]) connection.destroy()
    this.#checkAnswers()
    return { ...this.#totals }
  }

  answered(connection: LoadConnection, { status, body }: { status: number; body: string }): void {
    const request = this.#underWay.get(connection)
    if (request === undefined) {
      connection.destroy()
      return
    }
    this.#latencies.add(performance.now() - request.startedAt)
    this.#totals.answered += 1
    this.#underWay.delete(connection)
    this.#idle.add(connection)
    this.#pump()
    if (this.#unchecked.push({ exchange: request.exchange, status, body }) === 1)
      setImmediate(() => {
        this.#checkAnswers()
      })
  }

  secured(connection: LoadConnection): void {
    this.#handshakes.delete(connection)
    this.#pump()
  }

  closed(connection: LoadConnection, error: Error | undefined): void {
    this.#handshakes.delete(connection)
    this.#idle.delete(connection)
    const request = this.#underWay.get(connection)
    if (request === undefined) return
    this.#underWay.delete(connection)
    request.exchange.abandon()
    this.#fail(error?.message ?? 'the connection was closed without an answer')
    this.#pump()
  }

  #pace(rate: number): void {
    const startedAt = performance.now()
    let made = 0
    this.#pacer = setInterval(() => {
      const now = performance.now()
      const all = Math.floor(((now - startedAt) / 1000) * rate)
      // What is due within one tick counts from the tick: a timer's own coarseness is not the server's.
      for (; made < all; made++) this.#due.push(now)
      this.#pump()
    }, TICK_MS)
  }

  #pump(): void {
    const options = this.#options
    if (options === undefined) return
    while (this.#underWay.size < options.connections && this.#hasConnection(options)) {
      if (options.rate !== undefined && this.#due.length === 0) return
      const exchange = this.#source.next()
      if (exchange === undefined) return
      this.#send(options, exchange, this.#due.shift() ?? performance.now())
    }
  }

  /** Whether there is a connection for the next request, or may be. */
  #hasConnection({ connect }: LoadOptions): boolean {
    return (connect === 'kept-alive' && this.#idle.size > 0) || this.#handshakes.size < MAX_HANDSHAKES
  }

  #send({ connect, idleConnections }: LoadOptions, exchange: LoadExchange, startedAt: number): void {
    const connection = (connect === 'kept-alive' ? this.#takeIdle() : undefined) ?? this.#open()
    this.#underWay.set(connection, { exchange, startedAt })
    connection.post(exchange.body)
    if (connect === 'new' && this.#idle.size > idleConnections) this.#takeIdle()?.destroy()
  }

  #open(): LoadConnection {
    const connection = new LoadConnection(this.#target, this)
    this.#handshakes.add(connection)
    return connection
  }

  #takeIdle(): LoadConnection | undefined {
    for (const connection of this.#idle) {
      this.#idle.delete(connection)
      return connection
    }
    return undefined
  }

  #checkAnswers(): void {
    const unchecked = this.#unchecked
    this.#unchecked = []
    for (const { exchange, status, body } of unchecked) {
      try {
        exchange.check(body)
        if (status !== 200) throw new Error(`HTTP status ${status}`)
        this.#totals.checked += 1
      } catch (error) {
        if (error instanceof RefusedError) this.#totals.refused += 1
        this.#fail(error instanceof Error ? error.message : 'unknown')
      }
    }
    // Devices that waited for this may send again.
    this.#pump()
  }

  #fail(message: string): void {
    this.#totals.failed += 1
    this.#totals.firstFailure ??= message
  }
}

function noTotals(): { -readonly [Name in keyof LoadTotals]: LoadTotals[Name] } {
  return { answered: 0, checked: 0, refused: 0, failed: 0, firstFailure: undefined }
}
