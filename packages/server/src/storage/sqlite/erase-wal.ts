import type { Connection } from './connection.ts'

const RETRY_MS = 1000

/**
 * Empties the write-ahead log, so that what was deleted is gone from the disk: `secure_delete` overwrites it in the
 * database file, but the log keeps the old pages until it is written over. A reader in another process holds that up;
 * it is then tried again.
 */
export class WalEraser implements Disposable {
  readonly #connection: Connection
  #retry: NodeJS.Timeout | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Never throws: what was deleted is committed, and the log is tried again. */
  erase(): void {
    clearTimeout(this.#retry)
    this.#retry = this.#tryErase()
      ? undefined
      : setTimeout(() => {
          this.erase()
        }, RETRY_MS).unref()
  }

  #tryErase(): boolean {
    try {
      return this.#connection.checkpoint('TRUNCATE').complete
    } catch {
      // A full or failing disk: a write will meet it too, and say so to somebody who waits for an answer.
      return false
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry)
  }
}
