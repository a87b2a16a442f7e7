import { StorageError } from '../ports.ts'
import type { Connection } from './connection.ts'
import { toJoinState } from './key-set-row.ts'
import { integer } from './row.ts'

/** "MORT": tells a database of this program from any other SQLite file. */
export const APPLICATION_ID = 0x4d4f5254

/** Up to this size every page is checked at start, in half a second; a larger one is checked while it is used. */
const QUICK_CHECK_MAX_BYTES = 32 * 1024 * 1024

const ROWS_A_TURN = 1000

/**
 * Refuses a file that is not a database of ours, or one whose structure is damaged; returns whether that was looked for
 * in all of it. A flipped bit inside a value is not seen here: records carry their own tag, nonces a checksum.
 * @throws StorageError database_corrupt
 */
export function assertIntact(connection: Connection): boolean {
  // An empty file has none either: a database that lost its content must not become a new one, with old JoinNonces.
  const applicationId = connection.pragma('application_id')
  if (applicationId !== APPLICATION_ID)
    throw new StorageError('database_corrupt', 'the file is not a database of Mortise')
  // Reads the whole schema, so that a damaged one shows now.
  connection.prepare('SELECT COUNT(*) FROM sqlite_schema').get()
  if (databaseBytes(connection) > QUICK_CHECK_MAX_BYTES) return false
  const finding = connection.pragma('quick_check(1)')
  if (finding !== 'ok') throw new StorageError('database_corrupt', String(finding))
  return true
}

/**
 * The first damage that can be found in the whole database, its indexes and its nonces; undefined when there is none.
 * A million devices take seconds.
 * @throws StorageError database_corrupt, where SQLite cannot even read on
 */
export function findDamage(connection: Connection): string | undefined {
  const finding = connection.pragma('integrity_check(1)')
  if (finding !== 'ok') return String(finding)
  readAllNonces(connection)
  return undefined
}

function readAllNonces(connection: Connection): void {
  const select = connection.prepare('SELECT id, last_join_nonce, joins FROM key_set WHERE id > ? ORDER BY id LIMIT ?')
  let last = 0
  for (;;) {
    const rows = select.all(last, ROWS_A_TURN)
    for (const row of rows) {
      last = integer(row, 'id')
      toJoinState(row)
    }
    if (rows.length < ROWS_A_TURN) return
  }
}

function databaseBytes(connection: Connection): number {
  return Number(connection.pragma('page_count')) * Number(connection.pragma('page_size'))
}
