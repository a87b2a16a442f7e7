import { StorageError, type StorageErrorCode } from '../ports.ts'

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html. */
const SQLITE_CODE: ReadonlyMap<number, StorageErrorCode> = new Map([
  [3, 'disk_failed'], // PERM
  [5, 'database_locked'], // BUSY
  [6, 'database_locked'], // LOCKED
  [8, 'database_read_only'], // READONLY
  [10, 'disk_failed'], // IOERR
  [11, 'database_corrupt'], // CORRUPT
  [13, 'disk_full'], // FULL
  [14, 'disk_failed'], // CANTOPEN
  [26, 'database_corrupt'], // NOTADB
])

const ERRNO_CODE: ReadonlyMap<string, StorageErrorCode> = new Map([
  ['ENOENT', 'database_missing'],
  ['EEXIST', 'database_exists'],
  ['ENOSPC', 'disk_full'],
  ['EDQUOT', 'disk_full'],
  ['EROFS', 'database_read_only'],
  ['EACCES', 'database_read_only'],
  ['EPERM', 'database_read_only'],
])

/**
 * What a failure of SQLite, or of the file system below it, means to a caller. SQLite's texts name tables and columns,
 * never values. Anything else (a programming error) is returned as it is.
 */
export function toStorageError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  if ('errcode' in error && typeof error.errcode === 'number') {
    // The extended code carries the primary one in its low byte.
    const code = SQLITE_CODE.get(error.errcode & 0xff) ?? 'database_failed'
    return new StorageError(code, `${error.message} (SQLite ${error.errcode})`, { cause: error })
  }
  if ('syscall' in error && 'code' in error && typeof error.code === 'string')
    return new StorageError(ERRNO_CODE.get(error.code) ?? 'disk_failed', error.message, { cause: error })
  return error
}
