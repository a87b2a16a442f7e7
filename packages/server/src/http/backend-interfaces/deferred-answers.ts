import { setTimeout as delay } from 'node:timers/promises'
import type { NetworkServer } from '../../identity/index.ts'
import { messageOf } from '../../message-of.ts'
import type { DeferredRequest, DeferredRequests } from '../../storage/index.ts'
import { FairShare } from '../../fair-share.ts'
import type { HttpAnswer, MessageHandler } from './handle-message.ts'
import { FIRST_HAND } from './message-context.ts'
import { Lines } from './lines.ts'

/** How long after its request an answer is of use: the second receive window of a join opens after six seconds. */
const ANSWER_WITHIN_MS = 10_000

/** Waits between attempts to post an answer, in milliseconds; the last is repeated. */
const RETRY_MS = [250, 500, 1000, 2000] as const

/** Requests that are taken and not answered yet, shared out among the peers. */
const MAX_PENDING = 4096

/** Answers of one peer that are computed or posted at once; the others wait in its line. */
const AT_ONCE_OF_PEER = 16

/** Answers of all peers that are computed at once: those who wait for theirs in the response need the HSM process too. */
const COMPUTED_AT_ONCE = 64
const EVERYBODY = 'everybody'

/** The largest message of a known network server is under 1 KiB. */
const MAX_DEFERRED_BYTES = 4096

/** How long the same is not told again: every device of a peer comes again. */
const SILENCE_MS = 60_000
const MAX_TOLD = 1000

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

/** A request, and what became of it in this process. */
interface Deferral {
  readonly request: DeferredRequest
  /** Another join server was asked, which may be asked only once: its answer is kept. */
  isForwarded: boolean
  answer: HttpAnswer | undefined
}

/**
 * Answers by messages of their own (TS002 1.0 §20, asynchronous). What is kept is the request, durably before it is
 * acknowledged; the answer is computed anew for every attempt to post it, so that no session key of ours waits in a
 * queue, and nothing is lost by a restart. The same request gets the same answer each time. A peer whose URL takes
 * nothing delays its own answers alone.
 */
export class DeferredAnswers implements AsyncDisposable {
  readonly #port: DeferredAnswersPort
  readonly #shares = new FairShare(MAX_PENDING, 2 * MAX_PENDING)
  readonly #lines = new Lines(AT_ONCE_OF_PEER)
  readonly #computing = new Lines(COMPUTED_AT_ONCE)
  readonly #running = new Set<Promise<void>>()
  readonly #ending = new AbortController()
  /** What an earlier process had taken. */
  #left: readonly DeferredRequest[]
  /** When something was last told, by what it is about. */
  readonly #toldAt = new Map<string, number>()

  constructor(port: DeferredAnswersPort) {
    this.#port = port
    this.#left = port.requests.list()
  }

  /** Requests that are worked on, those that wait for their next attempt among them. */
  get pending(): number {
    return this.#running.size
  }

  /** Goes on with what an earlier process had taken. Call it when the HSM process can answer; again does nothing. */
  resume(): void {
    const left = this.#left
    this.#left = []
    for (const request of left) this.#begin(request, () => undefined)
  }

  /** Takes a request; resolves when it cannot be lost any more: false when the peer has too many, or it is too large. */
  async take(peer: NetworkServer, body: Uint8Array): Promise<boolean> {
    const holder = peer.peerId.toString('hex')
    if (body.length > MAX_DEFERRED_BYTES || this.#ending.signal.aborted) return false
    if (this.#shares.enter(holder) !== undefined) return false
    const leave = (): void => {
      this.#shares.leave(holder)
    }
    try {
      const request = { peerId: peer.peerId, receivedAt: Date.now(), body: Buffer.from(body) }
      const requestId = await this.#port.requests.add(request)
      this.#begin({ requestId, ...request }, leave)
      return true
    } catch (error) {
      leave()
      throw error
    }
  }

  /** What is not answered yet stays for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await Promise.all(this.#running)
  }

  #begin(request: DeferredRequest, ended: () => void): void {
    const running = this.#answer({ request, isForwarded: false, answer: undefined })
      .catch((error: unknown) => {
        this.#tell('requests', `a request could not be answered: ${messageOf(error)}`)
      })
      .finally(() => {
        this.#running.delete(running)
        ended()
      })
    this.#running.add(running)
  }

  async #answer(deferral: Deferral): Promise<void> {
    const { receivedAt, peerId } = deferral.request
    // By a clock that nobody sets: it neither ends the attempts nor prolongs them.
    const line = peerId.toString('hex')
    const end = performance.now() + ANSWER_WITHIN_MS - Math.max(0, Date.now() - receivedAt)
    const isOfUse = (): boolean => performance.now() < end && !this.#ending.signal.aborted
    for (let attempt = 0; isOfUse(); attempt++) {
      const isPosted = await this.#lines.run(line, async () => isOfUse() && (await this.#attempt(deferral)))
      if (isPosted) return this.#settle(deferral, 'posted')
      await this.#pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 0)
    }
    if (!this.#ending.signal.aborted) await this.#settle(deferral, 'dropped')
  }

  async #attempt(deferral: Deferral): Promise<boolean> {
    const peer = this.#port.networkServer(deferral.request.peerId)
    if (peer?.asyncUrl === undefined) return false
    try {
      const answer = deferral.answer ?? (await this.#compute(peer, deferral))
      await this.#port.post(peer, answer.body)
      return true
    } catch (error) {
      this.#tell(
        peer.asyncUrl,
        `the answer for ${peer.id} could not be posted to ${peer.asyncUrl}: ${messageOf(error)}`,
      )
      return false
    }
  }

  async #compute(peer: NetworkServer, deferral: Deferral): Promise<HttpAnswer> {
    const answer = await this.#computing.run(EVERYBODY, (leave) => {
      const handedOver = (): void => {
        deferral.isForwarded = true
        leave()
      }
      return this.#port.handle(peer, deferral.request.body, { ...FIRST_HAND, handedOver })
    })
    if (deferral.isForwarded) deferral.answer = answer
    return answer
  }

  /** Seldom: the metrics count, and a peer that is away must not fill the disk. */
  #tell(about: string, line: string): void {
    const now = performance.now()
    if (now - (this.#toldAt.get(about) ?? -Infinity) < SILENCE_MS) return
    if (this.#toldAt.size >= MAX_TOLD) this.#toldAt.clear()
    this.#toldAt.set(about, now)
    this.#port.log(`${line}; mortise_asynchronous_answers_total in /metrics says how often answers are dropped`)
  }

  /** Ends at once when this process ends. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#ending
    await delay(ms, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  async #settle({ request }: Deferral, outcome: 'posted' | 'dropped'): Promise<void> {
    await this.#port.requests.remove(request.requestId)
    this.#port.settled(outcome)
  }
}
