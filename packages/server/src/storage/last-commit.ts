import { closeSync, constants, existsSync, fdatasync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { StorageError } from './ports.ts'
import type { ReceiptPlace } from '@mortise/hsm'
import { toStorageError } from './sqlite/storage-error.ts'

const FILE_MODE = 0o600
const SYNC_MS = 1000
const LINE = /^(mortise last commit 1: boot (\d{15}) worker (\d{10}) receipt (\d{15})) crc ([0-9a-f]{8})\n$/

/** Beside the database, so that whoever replaces one of the two is noticed. */
export function lastCommitPath(database: string): string {
  return `${database}.last-commit`
}

/**
 * Names the newest receipt that is durable in the database, in a file of one line: a database that does not have this
 * receipt has lost commits (docs/adr/006-lost-commits.md).
 *
 * It is written after the commit and not synced with it, which would double the price of a commit. The end of this
 * process loses nothing of it; after a power failure it may be a second behind. It is never ahead.
 */
export class LastCommit implements Disposable {
  readonly #path: string
  readonly #log: (line: string) => void
  #file: number | undefined
  #timer: NodeJS.Timeout | undefined
  #syncing = false
  #failing = false
  #closed = false

  /** `log` hears when the line cannot be written, and when it can be again. */
  constructor(path: string, log: (line: string) => void = () => undefined) {
    this.#path = path
    this.#log = log
  }

  /** Undefined where no commit has been named yet. @throws StorageError database_corrupt, database_read_only, disk_failed */
  read(): ReceiptPlace | undefined {
    const line = this.#readLine()
    // Empty: it was made, and the power failed before the line was on the disk.
    if (line === undefined || line === '') return undefined
    const [, text, boot, worker, receipt, checksum] = LINE.exec(line) ?? []
    if (text === undefined || checksum !== checksumOf(text))
      throw new StorageError('database_corrupt', `${this.#path} is damaged`)
    return { bootEpoch: Number(boot), worker: Number(worker), sequence: Number(receipt) }
  }

  /** Call when the receipt is durable. Never throws: a line that is behind notices less, and is no reason to refuse. */
  write({ bootEpoch, worker, sequence }: ReceiptPlace): void {
    const chain = `boot ${digits(bootEpoch, 15)} worker ${digits(worker, 10)}`
    const text = `mortise last commit 1: ${chain} receipt ${digits(sequence, 15)}`
    try {
      this.#file ??= openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, FILE_MODE)
      // One write of less than a sector, over the line before: a reader finds one of the two.
      writeSync(this.#file, `${text} crc ${checksumOf(text)}\n`, 0)
      this.#syncSoon()
      this.#worked()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Syncs the line. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#closed = true
    if (this.#file === undefined) return
    try {
      fdatasyncSync(this.#file)
    } catch (error) {
      this.#failed(error)
    }
    if (!this.#syncing) closeSync(this.#file)
  }

  #readLine(): string | undefined {
    try {
      return existsSync(this.#path) ? readFileSync(this.#path, 'latin1') : undefined
    } catch (error) {
      throw toStorageError(error)
    }
  }

  #syncSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#file !== undefined && !this.#syncing) this.#startSync(this.#file)
      else this.#syncSoon()
    }, SYNC_MS).unref()
  }

  /** On a thread: joins go on. */
  #startSync(file: number): void {
    this.#syncing = true
    fdatasync(file, (error) => {
      this.#syncing = false
      if (error !== null) this.#failed(error)
      if (this.#closed) closeSync(file)
    })
  }

  #worked(): void {
    if (!this.#failing) return
    this.#failing = false
    this.#log(`${this.#path} is written again`)
  }

  #failed(error: unknown): void {
    if (this.#failing) return
    this.#failing = true
    const reason = error instanceof Error ? error.message : String(error)
    this.#log(`${this.#path} cannot be written, and the loss of commits would go unnoticed: ${reason}`)
  }
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0')
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}
