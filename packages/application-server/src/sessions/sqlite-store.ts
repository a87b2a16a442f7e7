import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { type DevEui, MAX_F_CNT } from '@mortise/lorawan'
import { ApplicationServerError, storeFull } from '../errors.ts'
import {
  DEFAULT_STORE_LIMITS,
  firstStored,
  mergeSessions,
  newestFirst,
  type SessionStore,
  type SessionStoreLimits,
  sessionToForget,
  type UplinkAcceptance,
} from './session-store.ts'
import { migrate } from './sqlite-schema.ts'
import { columnsOf, sessionFrom } from './session-row.ts'
import type { DownlinkCounterId, NewSession, SessionId, StoredSession } from './stored-session.ts'
import { acceptInWindow } from './uplink-window.ts'

/** How long a step waits for another process that writes; the event loop stands still meanwhile. */
const BUSY_TIMEOUT_MS = 5000

/** Whether a step must outlive a power failure, or only the death of its process. */
type Durability = 'power-failure' | 'process'

/**
 * Sessions in an SQLite file, for any number of processes on one machine. A downlink counter waits for the disk before
 * it is given. An accepted uplink does not: a power failure may forget the last ones, and their copies are accepted then.
 */
export class SqliteSessionStore implements SessionStore {
  readonly #database: DatabaseSync
  readonly #limits: SessionStoreLimits
  readonly #statements: Statements
  #durability: Durability | undefined

  /**
   * Opens the file, or makes it for this user alone.
   * @throws {ApplicationServerError} `store_failed`, `store_newer`
   */
  constructor(path: string, limits: SessionStoreLimits = DEFAULT_STORE_LIMITS) {
    this.#limits = limits
    this.#database = translated(() => open(path))
    try {
      this.#step('power-failure', () => {
        migrate(this.#database)
      })
      this.#statements = translated(() => prepare(this.#database))
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  begin(session: NewSession, nowMs: number): Promise<StoredSession | 'superseded'> {
    return this.#attempt('process', () => {
      const known = this.#find(session.id)
      if (known !== undefined) return this.#put(mergeSessions(known, session))
      const others = this.#ofDevice(session.devEui)
      const first = firstStored(session, nowMs)
      const forgotten = sessionToForget([...others, first])
      if (forgotten === first) return 'superseded'
      if (others.length === 0) this.#countDevice()
      if (forgotten !== undefined) this.#statements.remove.run(forgotten.id)
      return this.#put(first)
    })
  }

  sessionsOf(devEui: DevEui): Promise<readonly StoredSession[]> {
    return promised(() => newestFirst(this.#ofDevice(devEui)))
  }

  acceptUplink(id: SessionId, fCnt: number, nowMs: number): Promise<UplinkAcceptance> {
    return this.#attempt('process', () => {
      const session = this.#find(id)
      if (session === undefined) return 'session_unknown'
      const window = acceptInWindow(session, fCnt)
      if (typeof window === 'string') return window
      this.#statements.accept.run(window.lastFCntUp, window.lateFCntUp, nowMs, id)
      return 'accepted'
    })
  }

  allocateFCntDown(counter: DownlinkCounterId, atLeast: number): Promise<number | 'f_cnt_exhausted'> {
    return this.#attempt('power-failure', () => {
      const next = Number(this.#statements.nextFCntDown.get(counter)?.['next_f_cnt_down'] ?? 0)
      const fCnt = Math.max(next, atLeast)
      if (fCnt > MAX_F_CNT) return 'f_cnt_exhausted'
      this.#statements.allocate.run(counter, fCnt + 1)
      return fCnt
    })
  }

  forgetDevices(seenBeforeMs: number): Promise<number> {
    return this.#attempt('process', () => {
      const gone = this.#statements.gone.all(seenBeforeMs)
      for (const { dev_eui: devEui } of gone) this.#statements.removeDevice.run(devEui ?? null)
      this.#statements.discount.run(gone.length)
      return gone.length
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return promised(() => {
      if (this.#database.isOpen) this.#database.close()
    })
  }

  #countDevice(): void {
    if (this.#statements.count.run(this.#limits.maxDevices).changes === 0) throw storeFull()
  }

  #find(id: SessionId): StoredSession | undefined {
    const row = this.#statements.find.get(id)
    return row === undefined ? undefined : sessionFrom(row)
  }

  #ofDevice(devEui: DevEui): StoredSession[] {
    return this.#statements.ofDevice.all(devEui).map((row) => sessionFrom(row))
  }

  #put(session: StoredSession): StoredSession {
    this.#statements.put.run(...columnsOf(session))
    return session
  }

  #attempt<Result>(durability: Durability, work: () => Result): Promise<Result> {
    return promised(() => this.#step(durability, work))
  }

  /** One transaction. It begins as a writer: one that reads first and writes later could fail in between. */
  #step<Result>(durability: Durability, work: () => Result): Result {
    return translated(() => {
      this.#setDurability(durability)
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        this.#database.exec('COMMIT')
        return result
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
        throw error
      }
    })
  }

  /** With NORMAL a commit is not synced; the next one with FULL syncs the log, and so those before it. */
  #setDurability(durability: Durability): void {
    if (durability === this.#durability) return
    this.#database.exec(`PRAGMA synchronous = ${durability === 'power-failure' ? 'FULL' : 'NORMAL'}`)
    this.#durability = durability
  }
}

type Statements = ReturnType<typeof prepare>

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text)
  return {
    find: sql('SELECT * FROM session WHERE id = ?'),
    ofDevice: sql('SELECT * FROM session WHERE dev_eui = ?'),
    put: sql('REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    accept: sql('UPDATE session SET last_f_cnt_up = ?, late_f_cnt_up = ?, seen_at_ms = ? WHERE id = ?'),
    nextFCntDown: sql('SELECT next_f_cnt_down FROM downlink_counter WHERE id = ?'),
    allocate: sql('REPLACE INTO downlink_counter VALUES (?, ?)'),
    remove: sql('DELETE FROM session WHERE id = ?'),
    removeDevice: sql('DELETE FROM session WHERE dev_eui = ?'),
    gone: sql('SELECT dev_eui FROM session GROUP BY dev_eui HAVING max(seen_at_ms) < ?'),
    count: sql('UPDATE device_count SET devices = devices + 1 WHERE devices < ?'),
    discount: sql('UPDATE device_count SET devices = devices - ?'),
  }
}

function open(path: string): DatabaseSync {
  createForThisUser(path)
  const database = new DatabaseSync(path, {
    timeout: BUSY_TIMEOUT_MS,
    enableDoubleQuotedStringLiterals: false,
    allowExtension: false,
    defensive: true,
  })
  try {
    const mode = database.prepare('PRAGMA journal_mode = WAL').get()
    if (mode?.['journal_mode'] !== 'wal') throw new Error('SQLite keeps no write-ahead log of this file')
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** SQLite would make it with the umask's mode. A file that is there is not opened: closing it would free SQLite's locks. */
function createForThisUser(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

/** @throws {ApplicationServerError} `store_failed`, with what SQLite or the file system says as its cause */
function translated<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof ApplicationServerError) throw cause
    throw new ApplicationServerError('store_failed', 'The session store cannot be used.', { cause })
  }
}

function promised<Result>(work: () => Result): Promise<Result> {
  return new Promise((resolve) => {
    resolve(translated(work))
  })
}
