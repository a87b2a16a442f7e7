import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import type { Row } from './row.ts'
import { toStorageError } from './storage-error.ts'

/**
 * How long a statement waits for another process. The directory's lock keeps other writers away, so this is for a
 * reader that holds up a checkpoint; the wait stops the event loop.
 */
const BUSY_TIMEOUT_MS = 50

/** A prepared statement, kept for the life of the connection. Failures of SQLite come out as StorageError. */
export class Statement {
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    this.#statement = statement
  }

  get(...parameters: SQLInputValue[]): Row | undefined {
    try {
      return this.#statement.get(...parameters)
    } catch (error) {
      throw toStorageError(error)
    }
  }

  all(...parameters: SQLInputValue[]): Row[] {
    try {
      return this.#statement.all(...parameters)
    } catch (error) {
      throw toStorageError(error)
    }
  }

  /** The number of rows that it changed. */
  run(...parameters: SQLInputValue[]): number {
    try {
      return Number(this.#statement.run(...parameters).changes)
    } catch (error) {
      throw toStorageError(error)
    }
  }
}

/** A prepared statement whose rows are arrays in the order of the columns: an object of each costs more than reading it. */
export class ArrayStatement {
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    statement.setReturnArrays(true)
    this.#statement = statement
  }

  all(...parameters: SQLInputValue[]): SQLOutputValue[][] {
    try {
      // The declarations do not know what setReturnArrays does to the rows.
      return this.#statement.all(...parameters) as unknown as SQLOutputValue[][]
    } catch (error) {
      throw toStorageError(error)
    }
  }
}

/** One connection to an SQLite file. Nothing else in the server touches `node:sqlite`, the directory's lock apart. */
export class Connection implements Disposable {
  readonly #database: DatabaseSync

  /** @throws StorageError disk_failed; what is wrong with the file's content shows with the first statement */
  constructor(path: string, options: { readonly readOnly: boolean }) {
    try {
      this.#database = new DatabaseSync(path, {
        readOnly: options.readOnly,
        timeout: BUSY_TIMEOUT_MS,
        enableForeignKeyConstraints: true,
        enableDoubleQuotedStringLiterals: false,
        allowExtension: false,
        defensive: true,
      })
    } catch (error) {
      throw toStorageError(error)
    }
  }

  execute(sql: string): void {
    try {
      this.#database.exec(sql)
    } catch (error) {
      throw toStorageError(error)
    }
  }

  prepare(sql: string): Statement {
    return new Statement(this.#prepare(sql))
  }

  prepareArrays(sql: string): ArrayStatement {
    return new ArrayStatement(this.#prepare(sql))
  }

  /** The first column of the first row that a PRAGMA gives. */
  pragma(pragma: string): unknown {
    const row = this.prepare(`PRAGMA ${pragma}`).get()
    return row === undefined ? undefined : Object.values(row)[0]
  }

  /**
   * Moves pages of the write-ahead log into the database file. PASSIVE waits for nobody, TRUNCATE for readers, and then
   * leaves an empty log. `complete` says whether all that was to be done was done.
   */
  checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): { complete: boolean; pages: number } {
    const row = this.prepare(`PRAGMA wal_checkpoint(${mode})`).get() ?? {}
    return { complete: row['busy'] === 0, pages: Number(row['log']) }
  }

  /** Runs `work` in one transaction; when it throws nothing of it is kept. DurableWrites makes durable what is committed. */
  transaction<T>(work: () => T): T {
    // IMMEDIATE: a transaction that reads first and writes later could otherwise fail in the middle.
    this.execute('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.execute('COMMIT')
      return result
    } catch (error) {
      // SQLite rolls some failures back by itself.
      if (this.#database.isTransaction) this.execute('ROLLBACK')
      throw error
    }
  }

  #prepare(sql: string): StatementSync {
    try {
      return this.#database.prepare(sql)
    } catch (error) {
      throw toStorageError(error)
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close()
  }
}
