import { MIGRATIONS } from '../migrations/index.ts'
import { StorageError } from '../ports.ts'
import type { Connection } from './connection.ts'

/** Version of the schema that a database has: how many migrations were applied. 0 for an empty file. */
export function schemaVersion(connection: Connection): number {
  return Number(connection.pragma('user_version'))
}

/**
 * Refuses a database that a newer release has migrated: this one does not know what its rows mean.
 * @throws StorageError database_newer
 */
export function refuseNewer(connection: Connection, known = MIGRATIONS.length): void {
  const version = schemaVersion(connection)
  if (version > known) throw new StorageError('database_newer', `version ${version}, this release knows ${known}`)
}

/** Brings the schema forward, one transaction a migration. @throws StorageError database_newer, disk_full… */
export function migrate(connection: Connection, migrations = MIGRATIONS): void {
  refuseNewer(connection, migrations.length)
  for (const [index, sql] of migrations.entries()) {
    if (index < schemaVersion(connection)) continue
    connection.transaction(() => {
      connection.execute(sql)
      connection.execute(`PRAGMA user_version = ${index + 1}`)
    })
  }
}
