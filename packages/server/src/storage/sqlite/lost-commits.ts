import { existsSync, statSync } from 'node:fs'
import type { ReceiptPlace } from '@mortise/hsm'
import { StorageError } from '../ports.ts'
import type { Connection } from './connection.ts'
import { ReceiptTable } from './receipts.ts'

/** Whether there is a write-ahead log with something in it. Ask before SQLite opens the database, which makes an empty one. */
export function hasLog(path: string): boolean {
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
}

/**
 * Refuses a database whose write-ahead log was taken away. SQLite removes the shared memory before the log when it closes
 * a database; the first without the second is the work of somebody else.
 * @throws StorageError database_log_missing
 */
export function refuseMissingLog(path: string): void {
  if (existsSync(`${path}-shm`) && !existsSync(`${path}-wal`))
    throw new StorageError('database_log_missing', `${path}-wal is not there`)
}

/**
 * Refuses a database that does not have the last commit that was answered: its log was lost or damaged, or an older copy
 * has taken its place.
 * @throws StorageError database_log_missing, database_rolled_back
 */
export function refuseLostCommits(connection: Connection, lastCommit: ReceiptPlace, withLog: boolean): void {
  if (new ReceiptTable(connection).has(lastCommit)) return
  const receipt = `receipt ${lastCommit.sequence} of worker ${lastCommit.worker} is not in the database`
  throw new StorageError(withLog ? 'database_rolled_back' : 'database_log_missing', receipt)
}
