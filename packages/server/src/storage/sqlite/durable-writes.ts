import { closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { StorageError } from '../ports.ts'
import { toStorageError } from './storage-error.ts'

/** Runs `work` in a transaction of SQLite's. */
export type Transaction = <T>(work: () => T) => T

interface Waiting {
  /** Throws nothing. */
  readonly durable: () => void
  readonly failed: (error: unknown) => void
}

/**
 * Transactions whose promise resolves when they are on the disk. SQLite writes its log without waiting (synchronous =
 * NORMAL), and this syncs the log, as SQLite would (FULL), but on a thread: meanwhile the event loop takes in the next
 * messages. One sync covers every transaction that was committed before it began.
 */
export class DurableWrites implements Disposable {
  readonly #transaction: Transaction
  readonly #logPath: string
  readonly #syncFailed: (error: StorageError) => void
  #log: number | undefined
  #waiting: Waiting[] = []
  #syncing = false
  #closed = false
  #failure: StorageError | undefined

  /** `path` is the database's. `syncFailed` hears of a sync that failed: what the disk has is then not known any more, and nothing may be answered. */
  constructor(transaction: Transaction, path: string, syncFailed: (error: StorageError) => void) {
    this.#transaction = transaction
    this.#logPath = `${path}-wal`
    this.#syncFailed = syncFailed
  }

  /** Opens the log, which is there once the database was opened: later there may be no descriptor left. */
  openLog(): void {
    try {
      this.#openLog()
    } catch (error) {
      throw toStorageError(error)
    }
  }

  /**
   * Runs `work` in a transaction at once; what it throws rejects, and then nothing of it is kept. `durable` is called
   * when it is on the disk, in the order of the transactions; it must not throw.
   */
  write<T>(work: () => T, durable: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure
      const result = this.#transaction(work)
      this.#waiting.push({
        durable: () => {
          durable()
          resolve(result)
        },
        failed: reject,
      })
      this.#syncSoon()
    })
  }

  /** Makes durable what is committed, now. */
  [Symbol.dispose](): void {
    const waiting = this.#takeWaiting()
    this.#closed = true
    if (waiting.length > 0)
      this.#settle(
        waiting,
        caught(() => {
          fdatasyncSync(this.#openLog())
        }),
      )
    if (!this.#syncing) this.#closeLog()
  }

  #syncSoon(): void {
    if (this.#syncing) return
    this.#syncing = true
    const log = this.#openLog()
    const waiting = this.#takeWaiting()
    fdatasync(log, (error) => {
      this.#syncing = false
      this.#settle(waiting, error ?? undefined)
      if (this.#closed) this.#closeLog()
      else if (this.#waiting.length > 0) this.#syncSoon()
    })
  }

  #settle(waiting: readonly Waiting[], error: Error | undefined): void {
    if (error !== undefined) this.#fail(waiting, error)
    else for (const { durable } of waiting) durable()
  }

  /**
   * What waits for the next sync fails too: the system tells of a failed write once, so that the next sync may succeed
   * without what this one lost, and the log ends for SQLite where something is missing.
   */
  #fail(waiting: readonly Waiting[], error: Error): void {
    const failure = new StorageError('disk_failed', `the log cannot be synced: ${error.message}`, { cause: error })
    this.#failure = failure
    this.#syncFailed(failure)
    for (const { failed } of [...waiting, ...this.#takeWaiting()]) failed(failure)
  }

  #takeWaiting(): Waiting[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }

  /** It stays the same file as long as the connection is open. */
  #openLog(): number {
    if (this.#log !== undefined) return this.#log
    const log = openSync(this.#logPath, 'r+')
    syncDirectory(dirname(this.#logPath))
    return (this.#log = log)
  }

  #closeLog(): void {
    if (this.#log !== undefined) closeSync(this.#log)
    this.#log = undefined
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function caught(work: () => void): Error | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
