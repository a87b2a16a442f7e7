import { randomBytes } from 'node:crypto'
import { ID_BYTES } from '../ports.ts'
import type { Connection } from './connection.ts'

/** Row number of the one organisation that a new database has. As 1 it takes no byte in the rows that name it. */
export const DEFAULT_ORGANISATION = 1

/** The rows that a database has from its creation. */
export function insertFirstRows(connection: Connection): void {
  connection
    .prepare('INSERT INTO organisation (id, public_id) VALUES (?, ?)')
    .run(DEFAULT_ORGANISATION, randomBytes(ID_BYTES))
  connection.prepare('INSERT INTO meta (id, created_at, hsm_epoch) VALUES (1, ?, 0)').run(Date.now())
}
