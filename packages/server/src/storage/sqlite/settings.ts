import { StorageError } from '../ports.ts'
import type { Connection } from './connection.ts'

/**
 * Pages (4096 bytes each) in the write-ahead log before a commit moves them into the database file by itself, while the
 * event loop stands still: only when the thread that does it (checkpoints.ts) has not come to it, or is not there.
 */
const WAL_AUTOCHECKPOINT_PAGES = 10_000

/** Pages kept in memory, in KiB (a negative cache_size). */
const CACHE_KIB = 32 * 1024

/** A file that was made by somebody else must not make this process do anything. */
const CAUTION = `
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA cache_size = -${CACHE_KIB};`

/** Settings of every connection. */
export function setUpConnection(connection: Connection): void {
  connection.execute(CAUTION)
}

/**
 * What a commit's promise rests on, each as SQLite names it when it took it. With NORMAL, SQLite syncs around its
 * checkpoints only; the log is synced after every transaction by durable-writes.ts.
 */
const DURABLE = { journal_mode: 'wal', synchronous: 1, secure_delete: 1, foreign_keys: 1 } as const

/**
 * Settings of the connection that writes: what was synced stays, and what was deleted is overwritten.
 * @throws StorageError database_not_durable when SQLite did not take them, on a file system without shared memory, say
 */
export function setUpWriter(connection: Connection): void {
  connection.execute(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA secure_delete = ON;
    PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = ${WAL_AUTOCHECKPOINT_PAGES};`)
  for (const [setting, expected] of Object.entries(DURABLE)) {
    const value = connection.pragma(setting)
    if (value !== expected) throw new StorageError('database_not_durable', `${setting} is ${String(value)}`)
  }
}

/** Writes a page as it is: what nothing is changed by, SQLite would not write at all. */
export function rewriteFirstPage(connection: Connection): void {
  connection.transaction(() => {
    connection.execute(`PRAGMA user_version = ${Number(connection.pragma('user_version'))}`)
  })
}
