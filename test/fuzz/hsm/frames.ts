import { bigEndian } from './cursor.ts'

/** A frame as ADR 002 has it: length (4) | protocol version (1) | type (1) | request id (4) | payload. */
export interface Frame {
  readonly type: number
  readonly id: number
  readonly payload: Buffer
}

/** The other side sent something that is no frame. */
export class MalformedFrameError extends Error {
  override readonly name = 'MalformedFrameError'
}

const MAX_FRAME_BYTES = 4 * 1024 * 1024
const HEADER_BYTES = 6
const VERSION = 1

export function frame(type: number, id: number, payload: Buffer): Buffer {
  const header = Buffer.concat([
    bigEndian(4, HEADER_BYTES + payload.length),
    Buffer.of(VERSION, type),
    bigEndian(4, id),
  ])
  return Buffer.concat([header, payload])
}

/** Cuts what the trust boundary sends into frames, strictly. */
export class FrameReader {
  #bytes: Buffer = Buffer.alloc(0)

  get incomplete(): boolean {
    return this.#bytes.length > 0
  }

  /** @throws MalformedFrameError */
  push(chunk: Buffer): Frame[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const frames: Frame[] = []
    while (this.#bytes.length >= 4) {
      const length = this.#bytes.readUInt32BE(0)
      if (length < HEADER_BYTES || length > MAX_FRAME_BYTES) throw new MalformedFrameError(`length ${length}`)
      if (this.#bytes.length < 4 + length) break
      if (this.#bytes[4] !== VERSION) throw new MalformedFrameError(`version ${this.#bytes[4] ?? 0}`)
      const payload = this.#bytes.subarray(4 + HEADER_BYTES, 4 + length)
      frames.push({ type: this.#bytes.readUInt8(5), id: this.#bytes.readUInt32BE(6), payload })
      this.#bytes = this.#bytes.subarray(4 + length)
    }
    return frames
  }
}

/** The frames of a stream, up to where it cannot be cut any more. */
export function framesOf(stream: Buffer): Frame[] {
  const reader = new FrameReader()
  const frames: Frame[] = []
  try {
    // Byte by byte, so that the frames before the damage are given.
    for (const byte of stream) frames.push(...reader.push(Buffer.of(byte)))
  } catch (error) {
    if (!(error instanceof MalformedFrameError)) throw error
  }
  return frames
}
