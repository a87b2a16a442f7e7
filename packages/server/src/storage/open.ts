import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { StorageError, type Storage } from './ports.ts'
import { Connection } from './sqlite/connection.ts'
import { APPLICATION_ID, assertIntact } from './sqlite/integrity.ts'
import { migrate, refuseNewer, schemaVersion } from './sqlite/migrate.ts'
import { insertFirstRows } from './sqlite/organisation.ts'
import { setUpConnection, setUpWriter } from './sqlite/settings.ts'
import { toStorageError } from './sqlite/storage-error.ts'
import { sqliteStorage } from './sqlite/storage.ts'
import { MIGRATIONS } from './migrations/index.ts'

const FILE_MODE = 0o600

/**
 * Makes a new database (mode 0600) with its schema, one organisation and nothing else. It gets its name when it is
 * complete: a crash leaves no half-made one. The caller holds the directory's lock.
 * @throws StorageError database_exists, disk_full, disk_failed, database_not_durable
 */
export function createDatabase(path: string): void {
  if (existsSync(path)) throw new StorageError('database_exists', path)
  const unfinished = `${path}.new`
  try {
    removeDatabaseFiles(unfinished)
    // Made here and not by SQLite, whose files get the umask's mode; its log and shared memory copy this one's.
    closeSync(openSync(unfinished, 'wx', FILE_MODE))
    fillDatabase(unfinished)
    syncFile(unfinished)
    renameSync(unfinished, path)
    syncFile(dirname(path))
  } catch (error) {
    removeDatabaseFiles(unfinished)
    throw toStorageError(error)
  }
}

/**
 * Opens a database, checks that it is whole, and brings its schema forward. The caller holds the directory's lock,
 * unless it only reads.
 * @throws StorageError database_missing, database_corrupt, database_newer, database_older (reading only),
 *   database_not_durable, database_locked, disk_full, disk_failed
 */
export function openDatabase(path: string, options: { readonly readOnly?: boolean } = {}): Storage {
  const readOnly = options.readOnly ?? false
  refuseAbsent(path)
  const connection = new Connection(path, { readOnly })
  try {
    setUpConnection(connection)
    // Before anything is written to it.
    assertIntact(connection)
    refuseNewer(connection)
    if (readOnly) refuseOlder(connection)
    else prepareForWriting(connection)
    return sqliteStorage(connection, { readOnly })
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
}

function fillDatabase(path: string): void {
  using connection = new Connection(path, { readOnly: false })
  setUpConnection(connection)
  setUpWriter(connection)
  connection.execute(`PRAGMA application_id = ${APPLICATION_ID}`)
  migrate(connection)
  connection.transaction(() => {
    insertFirstRows(connection)
  })
}

/** SQLite would make one, which would give out old JoinNonces again. */
function refuseAbsent(path: string): void {
  if (!existsSync(path)) throw new StorageError('database_missing', path)
}

function prepareForWriting(connection: Connection): void {
  setUpWriter(connection)
  migrate(connection)
}

function refuseOlder(connection: Connection): void {
  if (schemaVersion(connection) < MIGRATIONS.length)
    throw new StorageError('database_older', 'only a start of the server brings it forward')
}

function removeDatabaseFiles(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}-journal`]) rmSync(file, { force: true })
}

function syncFile(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
