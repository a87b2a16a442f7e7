import type { CommitItem, JoinCommit } from '../ports.ts'
import type { CommitResult } from './joins.ts'
import { type KeyedReceipt, keyedReceipt } from './receipts.ts'

/** Bounds how long one transaction holds the event loop. A single call with more items is a transaction of its own. */
const MAX_BATCH_ITEMS = 512

export interface PreparedItem {
  readonly join: JoinCommit | undefined
  readonly receipt: KeyedReceipt
}

interface WaitingCall {
  readonly items: readonly PreparedItem[]
  readonly resolve: (results: CommitResult[]) => void
  readonly reject: (error: unknown) => void
}

/** Commits all items in one transaction or none; resolves, with a result for each, when it is durable. */
type WriteItems = (items: readonly PreparedItem[]) => Promise<CommitResult[]>

/**
 * Group commit: what arrives while the disk is busy with one transaction makes the next one, because the sync is what a
 * commit costs. The slower the disk, the larger the batches.
 */
export class GroupCommit {
  readonly #write: WriteItems
  #waiting: WaitingCall[] = []
  #busy = false

  constructor(write: WriteItems) {
    this.#write = write
  }

  /** Rejects with HsmError frame_malformed for a receipt that is none: that call alone fails. */
  commit(items: readonly CommitItem[]): Promise<CommitResult[]> {
    return new Promise((resolve, reject) => {
      const call = { items: items.map(prepare), resolve, reject }
      // After the poll phase: every request whose HSM answer has arrived by now is in the same batch.
      if (this.#waiting.length === 0 && !this.#busy)
        setImmediate(() => {
          this.#commitNext()
        })
      this.#waiting.push(call)
    })
  }

  /** Commits whatever waits, now. */
  flush(): void {
    while (this.#waiting.length > 0) void this.#commitBatch(this.#takeBatch())
  }

  #commitNext(): void {
    if (this.#busy || this.#waiting.length === 0) return
    this.#busy = true
    void this.#commitBatch(this.#takeBatch()).then(() => {
      this.#busy = false
      this.#commitNext()
    })
  }

  #takeBatch(): WaitingCall[] {
    return this.#waiting.splice(0, batchEnd(this.#waiting))
  }

  /** Never rejects: every call hears of its own outcome. */
  async #commitBatch(calls: readonly WaitingCall[]): Promise<void> {
    try {
      const results = await this.#write(calls.flatMap((call) => call.items))
      let offset = 0
      for (const call of calls) {
        call.resolve(results.slice(offset, offset + call.items.length))
        offset += call.items.length
      }
    } catch (error) {
      for (const call of calls) call.reject(error)
    }
  }
}

function prepare(item: CommitItem): PreparedItem {
  return 'join' in item
    ? { join: item.join, receipt: keyedReceipt(item.join.receipt) }
    : { join: undefined, receipt: keyedReceipt(item.receipt) }
}

/** The end of the longest run of calls from the first on, at least one, that fits a batch. */
function batchEnd(calls: readonly WaitingCall[]): number {
  let count = 0
  for (const [end, { items }] of calls.entries()) {
    count += items.length
    if (count > MAX_BATCH_ITEMS) return Math.max(end, 1)
  }
  return calls.length
}
