import { Worker } from 'node:worker_threads'
import { CHECKPOINT_COMMAND, type CheckpointOrder, type CheckpointReport } from './checkpoint-order.ts'

/** Transactions between two runs: a batch of joins writes some twenty pages. */
const TRANSACTIONS_A_RUN = 64

/** Pages in the log from which the little that a run has left over is moved too, so that the log begins anew. */
const RESTART_PAGES = 4000

/** How long the end of the thread is waited for when the database is closed: a run can take as long as the disk. */
const CLOSE_TIMEOUT_MS = 10_000

/** In MiB. SQLite's own memory is not among it. */
const MEMORY = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 }

export interface CheckpointsPort {
  /** Moves what is left in the log, on this thread. @throws StorageError */
  finish(): void
  log(line: string): void
}

/**
 * Moves pages from the write-ahead log into the database file on a thread, over a connection of its own, while joins go
 * on: a sync of a thousand pages in random places would stop the event loop for tens of milliseconds. What is committed
 * meanwhile stays in the log, so that a run alone never empties it; when it has grown, its last few pages are moved by
 * the connection that writes.
 */
export class Checkpoints implements Disposable {
  readonly #path: string
  readonly #port: CheckpointsPort
  readonly #command = new Int32Array(new SharedArrayBuffer(4))
  #thread: Worker | undefined
  #transactions = 0
  /** From a command until its report; for ever when the thread has failed. */
  #busy = false

  /** `path` is the database's. The thread starts when it is needed: a command that writes little has none. */
  constructor(path: string, port: CheckpointsPort) {
    this.#path = path
    this.#port = port
  }

  /** Call after every transaction. */
  committed(): void {
    this.#transactions += 1
    if (this.#transactions < TRANSACTIONS_A_RUN || this.#busy) return
    this.#transactions = 0
    this.#busy = true
    this.#thread ??= this.#startThread()
    this.#tell(CHECKPOINT_COMMAND.run)
  }

  /** Waits until the thread has closed its connection: the one that is closed last empties the log. */
  [Symbol.dispose](): void {
    if (this.#thread === undefined) return
    this.#busy = true
    this.#thread.removeAllListeners()
    // It may have failed, and this has not been heard yet.
    if (Atomics.load(this.#command, 0) !== CHECKPOINT_COMMAND.closed) {
      this.#tell(CHECKPOINT_COMMAND.close)
      Atomics.wait(this.#command, 0, CHECKPOINT_COMMAND.close, CLOSE_TIMEOUT_MS)
    }
    void this.#thread.terminate()
  }

  #startThread(): Worker {
    const thread = new Worker(new URL('checkpoint-main.ts', import.meta.url), {
      workerData: { path: this.#path, command: this.#command } satisfies CheckpointOrder,
      // It needs no environment, and is given none.
      env: {},
      resourceLimits: MEMORY,
    })
    thread.unref()
    thread.on('message', (report: CheckpointReport) => {
      this.#busy = false
      this.#reported(report)
    })
    thread.on('error', (error: Error) => {
      this.#port.log(`no thread moves the write-ahead log any more: ${error.message}`)
    })
    return thread
  }

  #tell(command: number): void {
    Atomics.store(this.#command, 0, command)
    Atomics.notify(this.#command, 0)
  }

  #reported({ pages, failure }: CheckpointReport): void {
    try {
      if (failure === undefined && pages > RESTART_PAGES) this.#port.finish()
      if (failure !== undefined) this.#port.log(`the write-ahead log could not be moved: ${failure}`)
    } catch (error) {
      this.#port.log(
        `the write-ahead log could not be emptied: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
}
