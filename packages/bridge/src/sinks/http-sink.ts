import { createHash } from 'node:crypto'
import type { ServiceAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { HttpService } from '../http-service.ts'
import type { Message, Sink } from '../sink.ts'
import { readingJson } from './reading-json.ts'

const TIMEOUT_MS = 30_000

/**
 * Client errors that say nothing of the message, and pass when somebody mends something: who may post (401, 403, 407),
 * where to (404, 421), or how soon (408, 425, 429). To drop readings for an expired token would be to lose them.
 */
const PASSING: readonly number[] = [401, 403, 404, 407, 408, 421, 425, 429]

export interface HttpSinkOptions {
  readonly service: ServiceAddress
  readonly shape: 'reading' | 'source'
  /** Of the source's own events. */
  readonly contentType: string
  readonly timeoutMs?: number | undefined
}

/** Posts each message; any answer of 200 to 299 means that the receiver has it. Tries nothing again itself. */
export class HttpSink implements Sink {
  readonly name: string
  readonly #service: HttpService
  readonly #options: HttpSinkOptions
  #problem: string | undefined

  /** @throws {BridgeError} `config_invalid` */
  constructor(options: HttpSinkOptions) {
    const { service, timeoutMs = TIMEOUT_MS } = options
    this.#options = options
    this.#service = new HttpService(service, timeoutMs)
    this.name = `${new URL(service.url).origin} ${nameOf(service.url)}`
  }

  get problem(): string | undefined {
    return this.#problem
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  async deliver({ reading, event }: Message): Promise<void> {
    if (this.#options.shape === 'source') await this.#post(event.body, this.#options.contentType)
    else if (reading !== undefined) await this.#post(readingJson(reading), 'application/json')
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.close()
  }

  async #post(body: Uint8Array, contentType: string): Promise<void> {
    let status: number
    try {
      ;({ status } = await this.#service.post(body, contentType))
    } catch (cause) {
      throw this.#failed('sink_failed', `no answer (${reasonOf(cause)})`, cause)
    }
    const taken = status >= 200 && status < 300
    const refused = status >= 400 && status < 500 && !PASSING.includes(status)
    if (!taken && !refused) throw this.#failed('sink_busy', `HTTP ${status}`)
    this.#problem = undefined
    if (refused) throw new BridgeError('sink_refused', `The receiver refused the message with HTTP ${status}.`)
  }

  #failed(code: 'sink_failed' | 'sink_busy', reason: string, cause?: unknown): BridgeError {
    this.#problem = `${this.name}: ${reason}`
    return new BridgeError(code, `The receiver did not take the message: ${reason}.`, { cause })
  }
}

/** Tells URLs of one origin apart, whose paths may be secrets: many receivers know their callers by them. */
function nameOf(url: string): string {
  return createHash('sha256').update(url).digest('hex').slice(0, 8)
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown'
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name
}
