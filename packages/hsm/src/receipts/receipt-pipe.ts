import { writeSync } from 'node:fs'
import { WireReader, WireWriter } from '../contract/wire.ts'

/**
 * The pipe on which a worker tells the supervisor every receipt before the answer can leave, and how far they have been
 * acknowledged: kind (1) | length (2) | bytes. A write is synchronous, so that a killed worker takes no receipt with it.
 */
const KIND = { receipt: 1, acknowledged: 2 } as const
const HEADER_BYTES = 3

export class ReceiptPipeWriter {
  readonly #fd: number
  #pending: Buffer[] = []

  constructor(fd: number) {
    this.#fd = fd
  }

  receipt(receipt: Buffer): void {
    this.#queue(KIND.receipt, receipt)
  }

  /** The worker's own chain is durable up to this sequence number. */
  acknowledged(sequence: number): void {
    this.#queue(KIND.acknowledged, new WireWriter(8).uint48(sequence).finish())
  }

  /** Returns when the kernel has all of it. */
  flush(): void {
    if (this.#pending.length === 0) return
    const bytes = Buffer.concat(this.#pending)
    this.#pending = []
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(this.#fd, bytes, offset)
  }

  #queue(kind: number, bytes: Buffer): void {
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    header.writeUInt8(kind, 0)
    header.writeUInt16BE(bytes.length, 1)
    this.#pending.push(header, bytes)
  }
}

/** The supervisor's end: calls back for every complete message. */
export class ReceiptPipeReader {
  #pending: Buffer = Buffer.alloc(0)
  readonly #onReceipt: (receipt: Buffer) => void
  readonly #onAcknowledged: (sequence: number) => void

  constructor(onReceipt: (receipt: Buffer) => void, onAcknowledged: (sequence: number) => void) {
    this.#onReceipt = onReceipt
    this.#onAcknowledged = onAcknowledged
  }

  push(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#pending, chunk])
    let offset = 0
    while (bytes.length - offset >= HEADER_BYTES) {
      const length = bytes.readUInt16BE(offset + 1)
      const start = offset + HEADER_BYTES
      if (start + length > bytes.length) break
      // A copy: a receipt may be kept for long, the chunk that it came in should not be.
      const message = Buffer.from(bytes.subarray(start, start + length))
      if (bytes[offset] === KIND.receipt) this.#onReceipt(message)
      else this.#onAcknowledged(new WireReader(message).uint48())
      offset = start + length
    }
    this.#pending = bytes.subarray(offset)
  }
}
