import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerParser, type HttpAnswer, MalformedAnswerError } from './answer-parser.ts'

/** What came back on one connection of its own. */
export interface Exchange {
  readonly answers: readonly HttpAnswer[]
  /** What was wrong with the stream itself. */
  readonly complaint: string | undefined
}

const CLOSE_TIMEOUT_MS = 8000
const POLL_MS = 5

/** One TLS connection. Requests may be sent before earlier ones are answered; answers come in their order. */
export class Connection {
  readonly #socket: TLSSocket
  readonly #parser: AnswerParser
  readonly #waiting: ((answer: HttpAnswer | undefined) => void)[] = []
  readonly #unasked: HttpAnswer[] = []
  #out: Buffer[] = []
  #closed = false
  #complaint: string | undefined
  #lastRead = performance.now()

  private constructor(socket: TLSSocket, bodyless: () => boolean) {
    this.#socket = socket
    this.#parser = new AnswerParser(bodyless)
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#closed = true
      for (const resolve of this.#waiting.splice(0)) resolve(undefined)
    })
  }

  /** @throws what the handshake fails with */
  static async open(
    options: ConnectionOptions,
    onSession?: (session: Buffer) => void,
    bodyless = () => false,
  ): Promise<Connection> {
    const socket = connect(options)
    if (onSession !== undefined) socket.on('session', onSession)
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => {
        reject(new Error('closed during the handshake'))
      })
    })
    return new Connection(socket, bodyless)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** What the server sent that nobody had asked for, or that is no HTTP. */
  get complaint(): string | undefined {
    return this.#complaint ?? (this.#unasked.length > 0 ? 'an answer that nobody had asked for' : undefined)
  }

  /** How many requests wait for their answer. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** For how long nothing came. */
  get idleMs(): number {
    return performance.now() - this.#lastRead
  }

  /** The answer, or undefined when the connection was closed before it. All that is asked in one turn leaves together. */
  ask(request: Buffer): Promise<HttpAnswer | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    if (this.#out.length === 0)
      setImmediate(() => {
        if (!this.#closed) this.#socket.write(Buffer.concat(this.#out))
        this.#out = []
      })
    this.#out.push(request)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /**
   * Sends pieces of a stream that may be anything, and gathers what comes back: until the server closes, until `expected`
   * answers are there, or until nothing came for `patienceMs`; then this side ends, and the server has to close.
   */
  async exchange(stream: readonly Buffer[], expected: number, patienceMs: number): Promise<Exchange> {
    for (const piece of stream) {
      if (this.#closed) break
      this.#socket.write(piece)
      if (stream.length > 1) await delay(0)
    }
    this.#lastRead = performance.now()
    while (!this.#closed && this.#unasked.length < expected && performance.now() - this.#lastRead < patienceMs)
      await delay(POLL_MS)
    if (this.#unasked.length < expected || expected === 0) await this.#end()
    this.close()
    return { answers: this.#unasked, complaint: this.#complaint }
  }

  close(): void {
    this.#socket.destroy()
  }

  async #end(): Promise<void> {
    this.#socket.end()
    const deadline = performance.now() + CLOSE_TIMEOUT_MS
    while (!this.#closed && performance.now() < deadline) await delay(POLL_MS)
    if (!this.#closed) this.#complaint ??= 'the server leaves a connection open that has ended'
  }

  #receive(chunk: Buffer): void {
    this.#lastRead = performance.now()
    try {
      for (const answer of this.#parser.push(chunk)) {
        const resolve = this.#waiting.shift()
        if (resolve === undefined) this.#unasked.push(answer)
        else resolve(answer)
      }
    } catch (error) {
      if (!(error instanceof MalformedAnswerError)) throw error
      this.#complaint ??= error.message
      this.#socket.destroy()
    }
  }
}
