import type { Socket } from 'node:net'
import { encodeFrame, FRAME, type Frame, FrameSplitter, type FrameType } from '../contract/frames.ts'
import { encodeRefusal } from '../contract/session.ts'
import { WireReader } from '../contract/wire.ts'
import { HsmError } from '../errors.ts'
import type { SupervisorStatus } from './supervisor.ts'

const MAX_SECRET_BYTES = 1024

/** What custodians may ask of the supervisor. */
export interface CustodianPort {
  readonly status: SupervisorStatus
  unseal(secret: Buffer): Promise<void>
}

/** A connection on the custodian socket: `unseal` and `status`, one at a time. */
export class CustodianConnection {
  readonly #socket: Socket
  readonly #port: CustodianPort
  readonly #splitter = new FrameSplitter()
  #queue: Promise<void> = Promise.resolve()

  constructor(socket: Socket, port: CustodianPort) {
    this.#socket = socket
    this.#port = port
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#splitter.push(chunk)) this.#queue = this.#queue.then(() => this.#handle(frame))
    } catch (error) {
      if (!(error instanceof HsmError)) throw error
      this.#socket.end(encodeFrame(FRAME.refused, 0, encodeRefusal(error)))
    }
  }

  async #handle(frame: Frame): Promise<void> {
    try {
      if (frame.type === FRAME.unseal) {
        await this.#unseal(frame)
        this.#answer(FRAME.unsealed, frame, Buffer.alloc(0))
      } else if (frame.type === FRAME.status) {
        this.#answer(FRAME.statusReported, frame, Buffer.from(JSON.stringify(this.#port.status)))
      } else {
        throw new HsmError('frame_malformed', 'frame type')
      }
    } catch (error) {
      const refusal = error instanceof HsmError ? error : new HsmError('token_failed', 'unexpected failure')
      this.#answer(FRAME.refused, frame, encodeRefusal(refusal))
    }
  }

  async #unseal(frame: Frame): Promise<void> {
    const secret = takeSecret(frame.payload)
    if (secret.length === 0 || secret.length > MAX_SECRET_BYTES) {
      secret.fill(0)
      throw new HsmError('wrong_passphrase', 'size')
    }
    await this.#port.unseal(secret)
  }

  #answer(type: FrameType, frame: Frame, payload: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeFrame(type, frame.requestId, payload))
  }
}

/** A copy of its own: the frame's buffer belongs to the socket, and is wiped here. */
function takeSecret(payload: Buffer): Buffer {
  try {
    const reader = new WireReader(payload)
    const bytes = reader.bytes()
    reader.end()
    return Buffer.from(bytes)
  } finally {
    payload.fill(0)
  }
}
