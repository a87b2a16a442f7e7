import { setTimeout as delay } from 'node:timers/promises'
import type { NetworkServer } from '../../identity/index.ts'
import { messageOf } from '../../message-of.ts'
import type { DeferredRequest, DeferredRequests } from '../../storage/index.ts'
import type { MessageHandler } from './handle-message.ts'

/** How long after its request an answer is of use: the second receive window of a join opens after six seconds. */
const ANSWER_WITHIN_MS = 10_000

/** Waits between attempts to post an answer, in milliseconds; the last is repeated. */
const RETRY_MS = [250, 500, 1000, 2000] as const

/** Requests that are worked on at once; the others wait. */
const MAX_AT_ONCE = 64

/** Requests that are taken and not answered yet. */
const MAX_PENDING = 4096

/** How long it is not told again that answers cannot be delivered: every device of a peer comes again. */
const SILENCE_MS = 60_000

export interface DeferredAnswersPort {
  readonly requests: DeferredRequests
  /** Answers a message, as it would be answered in the response. */
  readonly handle: MessageHandler
  /** The peer with this id as it is now; undefined when it may ask no more. */
  readonly networkServer: (peerId: Buffer) => NetworkServer | undefined
  /** Posts an answer to the peer's URL. The promise rejects when it did not arrive. */
  readonly post: (peer: NetworkServer, body: string) => Promise<void>
  /** `posted`, or `dropped` because nobody took it in time. */
  readonly settled: (outcome: 'posted' | 'dropped') => void
  readonly log: (line: string) => void
}

/**
 * Answers by messages of their own (TS002 1.0 §20, asynchronous). What is kept is the request, durably before it is
 * acknowledged; the answer is computed anew for every attempt to post it, so that no session key waits in a queue, and
 * nothing is lost by a restart. The same request gets the same answer each time.
 */
export class DeferredAnswers implements AsyncDisposable {
  readonly #port: DeferredAnswersPort
  readonly #waiting: DeferredRequest[] = []
  readonly #working = new Set<DeferredRequest>()
  readonly #running = new Set<Promise<void>>()
  readonly #ending = new AbortController()
  /** Requests that are being written. */
  #taking = 0
  #resumed = false
  #toldAt = -Infinity

  constructor(port: DeferredAnswersPort) {
    this.#port = port
  }

  /** Requests taken and not answered yet. */
  get pending(): number {
    return this.#taking + this.#waiting.length + this.#running.size
  }

  /** Goes on with what an earlier process had taken. Call it when the HSM process can answer; again does nothing. */
  resume(): void {
    if (this.#resumed) return
    this.#resumed = true
    const taken = new Set([...this.#waiting, ...this.#working].map(({ requestId }) => requestId))
    this.#waiting.unshift(...this.#port.requests.list().filter(({ requestId }) => !taken.has(requestId)))
    this.#work()
  }

  /** Takes a request; resolves when it cannot be lost any more: false when there are too many. */
  async take(peer: NetworkServer, body: Uint8Array): Promise<boolean> {
    if (this.pending >= MAX_PENDING || this.#ending.signal.aborted) return false
    const request = { peerId: peer.peerId, receivedAt: Date.now(), body: Buffer.from(body) }
    this.#taking++
    try {
      const requestId = await this.#port.requests.add(request)
      this.#waiting.push({ requestId, ...request })
    } finally {
      this.#taking--
    }
    this.#work()
    return true
  }

  /** What is not answered yet stays for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await Promise.all(this.#running)
  }

  #work(): void {
    while (this.#running.size < MAX_AT_ONCE && !this.#ending.signal.aborted) {
      const request = this.#waiting.shift()
      if (request === undefined) return
      this.#working.add(request)
      const running = this.#answer(request)
        .catch((error: unknown) => {
          this.#tell(`a request could not be answered: ${messageOf(error)}`)
        })
        .finally(() => {
          this.#working.delete(request)
          this.#running.delete(running)
          this.#work()
        })
      this.#running.add(running)
    }
  }

  async #answer(request: DeferredRequest): Promise<void> {
    // By a clock that nobody sets: it neither ends the attempts nor prolongs them.
    const end = performance.now() + ANSWER_WITHIN_MS - Math.max(0, Date.now() - request.receivedAt)
    for (let attempt = 0; performance.now() < end; attempt++) {
      if (await this.#attempt(request)) return this.#settle(request, 'posted')
      if (!(await this.#pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 0))) return
    }
    await this.#settle(request, 'dropped')
  }

  async #attempt({ peerId, body }: DeferredRequest): Promise<boolean> {
    const peer = this.#port.networkServer(peerId)
    if (peer?.asyncUrl === undefined) return false
    try {
      const answer = await this.#port.handle(peer, body)
      await this.#port.post(peer, answer.body)
      return true
    } catch (error) {
      this.#tell(`the answer for ${peer.id} could not be posted to ${peer.asyncUrl}: ${messageOf(error)}`)
      return false
    }
  }

  /** Seldom: the metrics count, and a peer that is away must not fill the disk. */
  #tell(line: string): void {
    const now = performance.now()
    if (now - this.#toldAt < SILENCE_MS) return
    this.#toldAt = now
    this.#port.log(`${line}; mortise_asynchronous_answers_total in /metrics says how often answers are dropped`)
  }

  /** False when this process ends. */
  async #pause(ms: number): Promise<boolean> {
    try {
      await delay(ms, undefined, { signal: this.#ending.signal })
      return true
    } catch {
      return false
    }
  }

  async #settle({ requestId }: DeferredRequest, outcome: 'posted' | 'dropped'): Promise<void> {
    await this.#port.requests.remove(requestId)
    this.#port.settled(outcome)
  }
}
