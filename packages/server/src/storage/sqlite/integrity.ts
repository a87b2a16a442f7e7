import { StorageError } from '../ports.ts'
import type { Connection } from './connection.ts'

/** "MORT": tells a database of this program from any other SQLite file. */
export const APPLICATION_ID = 0x4d4f5254

/** Up to this size every page is checked at start; above, that would take seconds. */
const QUICK_CHECK_MAX_BYTES = 128 * 1024 * 1024

/**
 * Refuses a file that is not a database of ours, or one whose structure is damaged. A flipped bit inside a value is not
 * seen here; records carry their own tag.
 * @throws StorageError database_corrupt
 */
export function assertIntact(connection: Connection): void {
  // An empty file has none either: a database that lost its content must not become a new one, with old JoinNonces.
  const applicationId = connection.pragma('application_id')
  if (applicationId !== APPLICATION_ID)
    throw new StorageError('database_corrupt', 'the file is not a database of Mortise')
  // Reads the whole schema, so that a damaged one shows now.
  connection.prepare('SELECT COUNT(*) FROM sqlite_schema').get()
  if (databaseBytes(connection) > QUICK_CHECK_MAX_BYTES) return
  const finding = connection.pragma('quick_check(1)')
  if (finding !== 'ok') throw new StorageError('database_corrupt', String(finding))
}

function databaseBytes(connection: Connection): number {
  return Number(connection.pragma('page_count')) * Number(connection.pragma('page_size'))
}
