import { accessSync, closeSync, constants, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { checkInBackground } from './background-check.ts'
import { LastCommit, lastCommitPath } from './last-commit.ts'
import { StorageError, type Storage } from './ports.ts'
import { Connection } from './sqlite/connection.ts'
import { APPLICATION_ID, assertIntact } from './sqlite/integrity.ts'
import { hasLog, refuseLostCommits, refuseMissingLog } from './sqlite/lost-commits.ts'
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
    // Of another database, which is not there any more.
    rmSync(lastCommitPath(path), { force: true })
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

export interface OpenOptions {
  readonly readOnly?: boolean
  /** Takes a line for people when commits begin to fail, or work again. */
  readonly log?: (line: string) => void
  /** Goes on to check, in a process of its own, a database that is too large to be checked before it is used. */
  readonly checkInBackground?: boolean
}

/**
 * Opens a database, checks that it is whole, and brings its schema forward. The caller holds the directory's lock,
 * unless it only reads.
 * @throws StorageError database_missing, database_corrupt, database_newer, database_older (reading only),
 *   database_log_missing, database_rolled_back, database_read_only, database_not_durable, database_locked, disk_full,
 *   disk_failed
 */
export function openDatabase(path: string, options: OpenOptions = {}): Storage {
  refuseAbsent(path)
  return options.readOnly === true ? openForReading(path) : openForWriting(path, options)
}

function openForReading(path: string): Storage {
  using cleanup = new DisposableStack()
  const connection = cleanup.use(new Connection(path, { readOnly: true }))
  setUpConnection(connection)
  assertIntact(connection)
  refuseNewer(connection)
  refuseOlder(connection)
  const storage = sqliteStorage(connection, path, { readOnly: true })
  cleanup.move()
  return storage
}

function openForWriting(path: string, options: OpenOptions): Storage {
  using cleanup = new DisposableStack()
  const { log = () => undefined } = options
  const lastCommit = cleanup.use(new LastCommit(lastCommitPath(path), log))
  const checked = examine(path, lastCommit)
  const connection = cleanup.use(new Connection(path, { readOnly: false }))
  setUpConnection(connection)
  setUpWriter(connection)
  migrate(connection)
  const check = options.checkInBackground === true && !checked ? checkInBackground : undefined
  const storage = sqliteStorage(connection, path, {
    readOnly: false,
    lastCommit,
    log,
    ...(check && { check: (damaged) => check(path, { damaged, log }) }),
  })
  cleanup.move()
  return storage
}

/**
 * Everything that can refuse a database, over a connection that only reads: one that writes would move the log into the
 * database file when it is closed, and what is refused is left as it was found.
 * @returns whether the whole of it was checked
 */
function examine(path: string, lastCommit: LastCommit): boolean {
  refuseReadOnly(path)
  refuseMissingLog(path)
  const withLog = hasLog(path)
  using connection = new Connection(path, { readOnly: true })
  setUpConnection(connection)
  const checked = assertIntact(connection)
  refuseNewer(connection)
  const last = lastCommit.read()
  if (last !== undefined) refuseLostCommits(connection, last, withLog)
  return checked
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

/** SQLite would open it all the same, for reading. */
function refuseReadOnly(path: string): void {
  try {
    for (const file of [path, dirname(path)]) accessSync(file, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw toStorageError(error)
  }
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
