import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { toStorageError } from '../storage/index.ts'

/** The one process that may write to a data directory. Freed by disposing, and by the kernel when the process ends. */
export type DirectoryLock = Disposable

const LOCK_FILE = 'lock'

/**
 * Takes the lock of a data directory: an SQLite file `lock` in it that is held by an exclusive transaction. The kernel
 * frees it with the process, also by `kill -9`; unlike a pid file it cannot be stale. Like every POSIX record lock it
 * is lost when this process opens and closes the file by any other way than SQLite. `waitMs`: how long this thread stands
 * still until somebody else has freed it.
 * @throws StorageError database_locked when another process, or this one, holds it; database_missing, disk_failed…
 */
export function acquireDirectoryLock(directory: string, waitMs = 0): DirectoryLock {
  const path = join(directory, LOCK_FILE)
  const database = openLockFile(path, waitMs)
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw toStorageError(error)
  }
  return {
    [Symbol.dispose]() {
      if (database.isOpen) database.close()
    },
  }
}

function openLockFile(path: string, waitMs: number): DatabaseSync {
  try {
    createLockFile(path)
    return new DatabaseSync(path, { timeout: waitMs })
  } catch (error) {
    throw toStorageError(error)
  }
}

/** SQLite would make it with the umask's mode. A file that is there is not opened: closing it would free the lock. */
function createLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}
