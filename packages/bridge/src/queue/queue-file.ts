import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BridgeError } from '../errors.ts'
import { createForThisUser } from './private-file.ts'

const QUEUE_FILE = 'queue.db'

/** "mqbr": tells the bridge's file from other databases. */
const APPLICATION_ID = 0x6d716272

/** `mortise bridge downlink` reads beside the bridge, and never for long. */
const BUSY_TIMEOUT_MS = 5000

/** Up to here every page is read before the file is used: some milliseconds. What is damaged in a larger one fails when it is read. */
const CHECKED_BYTES = 32 * 2 ** 20

/**
 * One entry a version. A released one is never edited: another follows it. The event's body comes last, so that what is
 * before it can be read without it.
 */
const MIGRATIONS = [
  `CREATE TABLE event (
     seq INTEGER PRIMARY KEY,
     id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
     received_at_ms INTEGER NOT NULL,
     size INTEGER NOT NULL,
     delivered INTEGER NOT NULL DEFAULT 0,
     topic TEXT NOT NULL,
     body BLOB NOT NULL
   ) STRICT;
   CREATE TABLE sink (
     bit INTEGER PRIMARY KEY CHECK (bit BETWEEN 0 AND 30),
     name TEXT NOT NULL UNIQUE
   ) STRICT;
   CREATE TABLE device (
     dev_eui TEXT NOT NULL PRIMARY KEY,
     address TEXT NOT NULL,
     profile TEXT
   ) STRICT, WITHOUT ROWID;`,
] as const

/**
 * Opens the queue's file, or makes it, mode 0600. The caller holds the directory's lock.
 * @throws {BridgeError} `queue_unusable`
 */
export function openQueueFile(directory: string): DatabaseSync {
  const path = join(directory, QUEUE_FILE)
  return usable(path, () => {
    createForThisUser(path)
    const database = connect(path, false)
    try {
      const mode = database.prepare('PRAGMA journal_mode = WAL').get()
      if (mode?.['journal_mode'] !== 'wal') throw new Error('SQLite keeps no write-ahead log of this file')
      database.exec('PRAGMA synchronous = FULL')
      refuseDamaged(database, path)
      migrate(database, path)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  })
}

/**
 * The queue's file for reading only, also beside a bridge that runs.
 * @throws {BridgeError} `queue_unusable`
 */
export function readQueueFile(directory: string): DatabaseSync {
  const path = join(directory, QUEUE_FILE)
  return usable(path, () => {
    const database = connect(path, true)
    try {
      if (versionOf(database, path) !== MIGRATIONS.length) throw refused(path, 'is of an earlier release.')
      return database
    } catch (error) {
      database.close()
      throw error
    }
  })
}

function connect(path: string, readOnly: boolean): DatabaseSync {
  return new DatabaseSync(path, {
    readOnly,
    timeout: BUSY_TIMEOUT_MS,
    enableDoubleQuotedStringLiterals: false,
    allowExtension: false,
    defensive: true,
  })
}

function refuseDamaged(database: DatabaseSync, path: string): void {
  if (statSync(path).size > CHECKED_BYTES) return
  const finding = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
  if (finding !== 'ok') throw refused(path, `is damaged: ${String(finding)}`)
}

function migrate(database: DatabaseSync, path: string): void {
  database.exec('BEGIN IMMEDIATE')
  const version = versionOf(database, path)
  for (const sql of MIGRATIONS.slice(version)) database.exec(sql)
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`)
}

/** 0 of a new file. */
function versionOf(database: DatabaseSync, path: string): number {
  const pragma = (name: string): unknown => database.prepare(`PRAGMA ${name}`).get()?.[name]
  const id = pragma('application_id')
  if (id === 0 && database.prepare('SELECT 1 FROM sqlite_schema').get() === undefined) return 0
  if (id !== APPLICATION_ID) throw refused(path, "is another program's.")
  const version = Number(pragma('user_version'))
  if (version > MIGRATIONS.length) {
    throw refused(path, `has version ${version}; this release knows ${MIGRATIONS.length}.`)
  }
  return version
}

function refused(path: string, what: string): BridgeError {
  return new BridgeError('queue_unusable', `The queue ${path} ${what}`)
}

function usable<Result>(path: string, work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof BridgeError) throw cause
    const says = cause instanceof Error ? cause.message : String(cause)
    throw new BridgeError('queue_unusable', `The queue ${path} cannot be used: ${says}`, { cause })
  }
}
