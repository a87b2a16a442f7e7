import { createConnection, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Frame, frame, FrameReader, MalformedFrameError } from './frames.ts'

const FIRST_ID = 2
const POLL_MS = 2
const CLOSE_TIMEOUT_MS = 8000
/** What the HSM process sends by itself. */
const RECEIPTS = 13

/** A connection to a socket of the trust boundary that keeps to no rule. */
export class FrameConnection {
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  readonly #waiting = new Map<number, (frame: Frame | undefined) => void>()
  readonly #unasked: Frame[] = []
  readonly #onReceipts: (payload: Buffer) => void
  #closed = false
  #complaint: string | undefined
  #lastRead = performance.now()
  #nextId = FIRST_ID

  private constructor(socket: Socket, onReceipts: (payload: Buffer) => void) {
    this.#socket = socket
    this.#onReceipts = onReceipts
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#closed = true
      for (const resolve of this.#waiting.values()) resolve(undefined)
      this.#waiting.clear()
    })
  }

  static async open(path: string, onReceipts: (payload: Buffer) => void = () => undefined): Promise<FrameConnection> {
    const socket = createConnection(path)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
      socket.once('close', () => {
        reject(new Error('closed before it was open'))
      })
    })
    return new FrameConnection(socket, onReceipts)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** What came that nobody had asked for, or that is no frame. */
  get complaint(): string | undefined {
    const [unasked] = this.#unasked
    return this.#complaint ?? (unasked && `an answer of type ${unasked.type} to ${unasked.id}, which nobody asked for`)
  }

  /** The id that the next request gets. */
  takeId(): number {
    return this.#nextId++
  }

  /** The answer with the id of the request; undefined when the connection is closed before it. */
  ask(type: number, payload: Buffer): Promise<Frame | undefined> {
    const id = this.takeId()
    if (this.#closed) return Promise.resolve(undefined)
    this.#socket.write(frame(type, id, payload))
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  /** Sends a frame that gets no answer; one that comes all the same is a complaint. */
  tell(type: number, payload: Buffer): void {
    if (!this.#closed) this.#socket.write(frame(type, this.takeId(), payload))
  }

  /** Sends anything, then ends, and gathers what comes back until the other side closes. */
  async exchange(
    stream: readonly Buffer[],
    quietMs: number,
  ): Promise<{ frames: Frame[]; complaint: string | undefined }> {
    for (const piece of stream) {
      if (this.#closed) break
      this.#socket.write(piece)
      if (stream.length > 1) await delay(0)
    }
    this.#lastRead = performance.now()
    while (!this.#closed && performance.now() - this.#lastRead < quietMs) await delay(POLL_MS)
    this.#socket.end()
    const deadline = performance.now() + CLOSE_TIMEOUT_MS
    while (!this.#closed && performance.now() < deadline) await delay(POLL_MS)
    if (!this.#closed) this.#complaint ??= 'a connection stays open that has ended'
    if (this.#reader.incomplete) this.#complaint ??= 'half a frame'
    this.close()
    return { frames: this.#unasked, complaint: this.#complaint }
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    this.#lastRead = performance.now()
    try {
      for (const received of this.#reader.push(chunk)) this.#take(received)
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error
      this.#complaint ??= error.message
      this.#socket.destroy()
    }
  }

  #take(received: Frame): void {
    if (received.type === RECEIPTS && received.id === 0) {
      this.#onReceipts(received.payload)
      return
    }
    const resolve = this.#waiting.get(received.id)
    this.#waiting.delete(received.id)
    if (resolve === undefined) this.#unasked.push(received)
    else resolve(received)
  }
}
