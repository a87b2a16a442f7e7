import { decodeReceipt, RECEIPT_HASH_BYTES, receiptHash } from './receipt.ts'

/** Bounds what an absent server lets pile up: with about 150 bytes each, some two megabytes. */
export const MAX_UNACKNOWLEDGED_RECEIPTS = 16_384

/** Receipts of one chain that no commit has been acknowledged for, oldest first. */
export class UnacknowledgedReceipts {
  #receipts: Buffer[] = []
  #first = 1
  #last: Buffer | undefined

  get full(): boolean {
    return this.#receipts.length >= MAX_UNACKNOWLEDGED_RECEIPTS
  }

  /** Sequence number of the oldest one; that of the next receipt when there is none. */
  get first(): number {
    return this.#first
  }

  get receipts(): readonly Buffer[] {
    return this.#receipts
  }

  /** Sequence number and hash of the last receipt ever added; 0 and zeros for an empty chain. */
  get end(): { sequence: number; hash: Buffer } {
    if (this.#last === undefined) return { sequence: 0, hash: Buffer.alloc(RECEIPT_HASH_BYTES) }
    return { sequence: decodeReceipt(this.#last).sequence, hash: receiptHash(this.#last) }
  }

  add(receipt: Buffer): void {
    this.#receipts.push(receipt)
    this.#last = receipt
  }

  /** Forgets the receipts up to and including `sequence`. */
  acknowledge(sequence: number): void {
    const count = Math.min(Math.max(sequence - this.#first + 1, 0), this.#receipts.length)
    this.#receipts = this.#receipts.slice(count)
    this.#first += count
  }
}
