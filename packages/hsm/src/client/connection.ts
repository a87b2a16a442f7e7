import { connect, type Socket } from 'node:net'
import { encodeFrame, FRAME, type Frame, FrameSplitter, type FrameType } from '../contract/frames.ts'
import { decodeRefusal, decodeWelcome, encodeHello, type Welcome } from '../contract/session.ts'
import { HsmError } from '../errors.ts'

const REQUEST_TIMEOUT_MS = 5000
const ORDER_TIMEOUT_MS = 60_000
const HELLO_ID = 1
/** A worker greets at once or not at all; one that died with the connection in its hands never does. */
const HELLO_TIMEOUT_MS = 1000

/** The connection broke before an answer came: what was asked may have been done. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError'
}

interface Pending {
  readonly expected: FrameType
  readonly resolve: (payload: Buffer) => void
  readonly reject: (error: Error) => void
  /** As performance.now() counts: a clock that is set neither ends nor prolongs a wait. */
  readonly deadline: number
}

export interface ConnectionEvents {
  onPush(frame: Frame): void
  onClosed(connection: HsmConnection): void
}

/** One connection to one worker. Requests of one tick leave in one write. */
export class HsmConnection {
  readonly welcome: Welcome
  readonly #socket: Socket
  readonly #pending: Map<number, Pending>
  readonly #timer: NodeJS.Timeout
  #out: Buffer[] = []
  #nextId = 2

  private constructor(socket: Socket, pending: Map<number, Pending>, welcome: Welcome, onClosed: () => void) {
    this.#socket = socket
    this.#pending = pending
    this.welcome = welcome
    this.#timer = setInterval(() => {
      this.#expire()
    }, 500)
    socket.on('close', () => {
      clearInterval(this.#timer)
      onClosed()
    })
  }

  /**
   * Connects and says hello.
   * @throws HsmError as the HSM process refuses (sealed, busy); Error when nobody listens
   */
  static async open(path: string, knownEpoch: number, events: ConnectionEvents): Promise<HsmConnection> {
    const socket = connect(path)
    const pending = new Map<number, Pending>()
    receiveFrames(socket, pending, events)
    try {
      const welcome = await new Promise<Buffer>((resolve, reject) => {
        pending.set(HELLO_ID, {
          expected: FRAME.welcome,
          resolve,
          reject,
          deadline: performance.now() + HELLO_TIMEOUT_MS,
        })
        socket.setTimeout(HELLO_TIMEOUT_MS, () => socket.destroy())
        socket.on('connect', () => socket.write(encodeFrame(FRAME.hello, HELLO_ID, encodeHello({ knownEpoch }))))
      })
      socket.setTimeout(0)
      const connection = new HsmConnection(socket, pending, decodeWelcome(welcome), () => {
        events.onClosed(connection)
      })
      return connection
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  get inFlight(): number {
    return this.#pending.size
  }

  /** @throws HsmError as refused, or `busy` after a time-out; ConnectionLostError */
  request(type: FrameType, expected: FrameType, payload: Buffer): Promise<Buffer> {
    const id = this.#nextId
    this.#nextId = id === 0xffffffff ? 2 : id + 1
    const timeoutMs = type === FRAME.applyOrder ? ORDER_TIMEOUT_MS : REQUEST_TIMEOUT_MS
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new ConnectionLostError())
        return
      }
      this.#pending.set(id, { expected, resolve, reject, deadline: performance.now() + timeoutMs })
      this.send(type, id, payload)
    })
  }

  /** Queues a frame; all that is queued in one turn of the event loop leaves together. */
  send(type: FrameType, id: number, payload: Buffer): void {
    if (this.#out.length === 0)
      setImmediate(() => {
        this.#flush()
      })
    this.#out.push(encodeFrame(type, id, payload))
  }

  close(): void {
    this.#flush()
    this.#socket.end()
    this.#socket.unref()
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#out)
    this.#out = []
    if (bytes.length > 0 && !this.#socket.destroyed) this.#socket.write(bytes)
  }

  #expire(): void {
    const now = performance.now()
    for (const [id, { deadline, reject }] of this.#pending) {
      if (deadline > now) continue
      this.#pending.delete(id)
      reject(new HsmError('busy', 'no answer in time'))
    }
  }
}

function receiveFrames(socket: Socket, pending: Map<number, Pending>, events: ConnectionEvents): void {
  const splitter = new FrameSplitter()
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of splitter.push(chunk)) settle(pending, frame, events)
    } catch (error) {
      socket.destroy(error instanceof Error ? error : undefined)
    }
  })
  // 'close' follows, with everything that waits.
  socket.on('error', () => undefined)
  socket.on('close', () => {
    refuseAll(pending, new ConnectionLostError())
  })
}

function settle(pending: Map<number, Pending>, frame: Frame, events: ConnectionEvents): void {
  if (frame.requestId === 0) {
    if (frame.type === FRAME.refused) refuseAll(pending, decodeRefusal(frame.payload))
    else events.onPush(frame)
    return
  }
  const request = pending.get(frame.requestId)
  // Its time was up: the receipts of what was done come again by themselves.
  if (request === undefined) return
  pending.delete(frame.requestId)
  if (frame.type === request.expected) request.resolve(frame.payload)
  else if (frame.type === FRAME.refused) request.reject(decodeRefusal(frame.payload))
  else request.reject(new HsmError('frame_malformed', 'unexpected answer'))
}

/** The other side speaks of the connection, not of one request: sealed, busy, or a stream that it cannot read. */
function refuseAll(pending: Map<number, Pending>, error: Error): void {
  for (const { reject } of pending.values()) reject(error)
  pending.clear()
}
