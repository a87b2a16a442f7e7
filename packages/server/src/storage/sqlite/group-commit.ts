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

/**
 * Group commit: the calls of one turn of the event loop share a transaction, because the fsync is what a commit costs.
 * The queue is emptied every turn, so that it holds at most what the listeners took in during one.
 */
export class GroupCommit {
  readonly #write: (items: readonly PreparedItem[]) => CommitResult[]
  #waiting: WaitingCall[] = []

  /** `write` commits all items in one durable transaction or none, and gives a result for each. */
  constructor(write: (items: readonly PreparedItem[]) => CommitResult[]) {
    this.#write = write
  }

  /** Rejects with HsmError frame_malformed for a receipt that is none: that call alone fails. */
  commit(items: readonly CommitItem[]): Promise<CommitResult[]> {
    return new Promise((resolve, reject) => {
      const call = { items: items.map(prepare), resolve, reject }
      // After the poll phase: every request whose HSM answer has arrived by now is in the same batch.
      if (this.#waiting.length === 0)
        setImmediate(() => {
          this.flush()
        })
      this.#waiting.push(call)
    })
  }

  /** Commits whatever waits, now. */
  flush(): void {
    const calls = this.#waiting
    this.#waiting = []
    for (let start = 0; start < calls.length; ) {
      const end = batchEnd(calls, start)
      this.#commitBatch(calls.slice(start, end))
      start = end
    }
  }

  #commitBatch(calls: readonly WaitingCall[]): void {
    let results: CommitResult[]
    try {
      results = this.#write(calls.flatMap((call) => call.items))
    } catch (error) {
      for (const call of calls) call.reject(error)
      return
    }
    let offset = 0
    for (const call of calls) {
      call.resolve(results.slice(offset, offset + call.items.length))
      offset += call.items.length
    }
  }
}

function prepare(item: CommitItem): PreparedItem {
  return 'join' in item
    ? { join: item.join, receipt: keyedReceipt(item.join.receipt) }
    : { join: undefined, receipt: keyedReceipt(item.receipt) }
}

/** The end of the longest run of calls, at least one, that fits a batch. */
function batchEnd(calls: readonly WaitingCall[], start: number): number {
  let count = 0
  for (let end = start; end < calls.length; end++) {
    count += calls[end]?.items.length ?? 0
    if (count > MAX_BATCH_ITEMS) return Math.max(end, start + 1)
  }
  return calls.length
}
