import { StorageError, type StorageErrorCode } from '../ports.ts'

/** How soon a commit is tried after one that failed: nobody may ask for one while a server is not ready. */
const PROBE_MS = 1000

/** For so long no commit may have failed before they are said to work: on a full disk a small one still fits now and then. */
const QUIET_MS = 3000

/** Failures that are the database's own, and not of what was to be written. */
const OWN_FAILURES: ReadonlySet<StorageErrorCode> = new Set([
  'database_corrupt',
  'database_failed',
  'database_locked',
  'database_read_only',
  'disk_failed',
  'disk_full',
])

export interface WriteGuardPort {
  /** Commits something, which changes nothing. */
  probe(): void
  log(line: string): void
}

/** Knows whether commits work, says so when that changes, and refuses all of them once the database is known as damaged. */
export class WriteGuard implements Disposable {
  readonly #port: WriteGuardPort
  #failure: StorageError | undefined
  #failedAt = 0
  #damage: StorageError | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(port: WriteGuardPort) {
    this.#port = port
  }

  /** Why commits are refused now. */
  get failure(): StorageError | undefined {
    return this.#damage ?? this.#failure
  }

  /** Runs a transaction. @throws what it throws, and database_corrupt after {@link refuseAll} */
  write<T>(transaction: () => T): T {
    if (this.#damage !== undefined) throw this.#damage
    try {
      const result = transaction()
      if (this.#failure !== undefined && performance.now() - this.#failedAt > QUIET_MS) this.#recovered()
      return result
    } catch (error) {
      if (error instanceof StorageError && OWN_FAILURES.has(error.code)) this.#failed(error)
      throw error
    }
  }

  /** From now on nothing is written, and so nothing is answered. */
  refuseAll(damage: StorageError): void {
    this.#damage ??= damage
    this.#port.log(`nothing is written to the database any more, and no join answered: ${damage.message}`)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #failed(error: StorageError): void {
    // The same failure once more is no news.
    if (this.#failure?.code !== error.code)
      this.#port.log(`commits to the database fail, and joins are refused: ${error.message}`)
    this.#failure = error
    this.#failedAt = performance.now()
    this.#probeSoon()
  }

  #recovered(): void {
    this.#failure = undefined
    this.#port.log('commits to the database work again')
  }

  #probeSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#probe()
    }, PROBE_MS).unref()
  }

  #probe(): void {
    try {
      this.write(() => {
        this.#port.probe()
      })
    } catch {
      // It has been noted.
    }
    if (this.#failure !== undefined && this.#damage === undefined) this.#probeSoon()
  }
}
