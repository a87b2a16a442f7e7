import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BridgeError } from '../errors.ts'
import { createForThisUser } from './private-file.ts'

/** The one bridge that may run on a data directory. Freed by disposing, and by the kernel when the process ends. */
export type DirectoryLock = Disposable

const LOCK_FILE = 'bridge.lock'
const SQLITE_BUSY = 5

/**
 * Takes the lock of a data directory: an SQLite file that is held by an exclusive transaction. The kernel frees it with
 * the process, also by `kill -9`; unlike a pid file it cannot be stale. What only reads the queue's file, or shares the
 * sessions, needs no lock.
 * @throws {BridgeError} `directory_in_use`, `queue_unusable`
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, LOCK_FILE)
  let database: DatabaseSync | undefined
  try {
    createForThisUser(path)
    const opened = new DatabaseSync(path, { timeout: 0 })
    database = opened
    opened.exec('BEGIN EXCLUSIVE')
    return {
      [Symbol.dispose]() {
        if (opened.isOpen) opened.close()
      },
    }
  } catch (cause) {
    database?.close()
    throw isBusy(cause)
      ? new BridgeError('directory_in_use', `Another bridge runs on ${directory}.`, { cause })
      : new BridgeError('queue_unusable', `The data directory ${directory} cannot be locked.`, { cause })
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}
