import { HsmError } from '../errors.ts'

/**
 * What crosses the sockets of the trust boundary (docs/adr/002-trust-boundary-contract.md):
 *
 *   length of what follows (4, big-endian) | protocol version (1) | frame type (1) | request id (4) | payload
 *
 * An answer carries the id of its request; a frame that the HSM process sends by itself carries id 0.
 */
export const PROTOCOL_VERSION = 1
export const MAX_FRAME_BYTES = 4 * 1024 * 1024
const HEADER_BYTES = 6

/** Frame types. Append, never renumber. */
export const FRAME = {
  hello: 1,
  welcome: 2,
  answerJoin: 3,
  joinAnswered: 4,
  verifyJoinRequest: 5,
  joinRequestVerified: 6,
  releaseAppSKey: 7,
  appSKeyReleased: 8,
  applyOrder: 9,
  orderApplied: 10,
  acknowledgeOrder: 11,
  acknowledgeReceipts: 12,
  receipts: 13,
  refused: 14,
  unseal: 15,
  unsealed: 16,
  status: 17,
  statusReported: 18,
} as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

export interface Frame {
  readonly type: number
  readonly requestId: number
  readonly payload: Buffer
}

/** One frame as bytes. */
export function encodeFrame(type: FrameType, requestId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(4 + HEADER_BYTES + payload.length)
  bytes.writeUInt32BE(HEADER_BYTES + payload.length, 0)
  bytes.writeUInt8(PROTOCOL_VERSION, 4)
  bytes.writeUInt8(type, 5)
  bytes.writeUInt32BE(requestId, 6)
  bytes.set(payload, 4 + HEADER_BYTES)
  return bytes
}

/** Cuts a byte stream into frames. Payloads are views into what was received. */
export class FrameSplitter {
  #pending: Buffer = Buffer.alloc(0)

  /**
   * Takes in what a socket delivered and yields every frame that is complete.
   * @throws HsmError frame_malformed, protocol_version_unsupported: the connection cannot go on
   */
  push(chunk: Buffer): Frame[] {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const frames: Frame[] = []
    let offset = 0
    while (bytes.length - offset >= 4) {
      const length = bytes.readUInt32BE(offset)
      if (length < HEADER_BYTES || length > MAX_FRAME_BYTES) throw new HsmError('frame_malformed', 'frame length')
      if (bytes.length - offset < 4 + length) break
      frames.push(readFrame(bytes.subarray(offset + 4, offset + 4 + length)))
      offset += 4 + length
    }
    this.#pending = bytes.subarray(offset)
    return frames
  }
}

function readFrame(bytes: Buffer): Frame {
  if (bytes[0] !== PROTOCOL_VERSION) throw new HsmError('protocol_version_unsupported')
  return { type: bytes.readUInt8(1), requestId: bytes.readUInt32BE(2), payload: bytes.subarray(HEADER_BYTES) }
}
