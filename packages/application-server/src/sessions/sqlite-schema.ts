import type { DatabaseSync } from 'node:sqlite'
import { ApplicationServerError } from '../errors.ts'

/** One entry a version. A released one is never edited: another follows it. */
const MIGRATIONS = [
  `CREATE TABLE session (
     id TEXT NOT NULL PRIMARY KEY,
     dev_eui TEXT NOT NULL,
     dev_addr TEXT NOT NULL,
     join_eui TEXT,
     session_key_id BLOB,
     kek_label TEXT,
     wrapped_app_s_key BLOB CHECK (length(wrapped_app_s_key) = 24),
     begun_at_ms INTEGER NOT NULL,
     seen_at_ms INTEGER NOT NULL,
     last_f_cnt_up INTEGER,
     late_f_cnt_up INTEGER NOT NULL DEFAULT 0,
     CHECK ((kek_label IS NULL) = (wrapped_app_s_key IS NULL))
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX session_of_device ON session (dev_eui, seen_at_ms);
   CREATE TABLE downlink_counter (
     id TEXT NOT NULL PRIMARY KEY,
     next_f_cnt_down INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE device_count (devices INTEGER NOT NULL) STRICT;
   INSERT INTO device_count VALUES (0);`,
] as const

/**
 * Brings a file to the newest schema, in one transaction.
 * @throws {ApplicationServerError} `store_newer`: a later release has written it
 */
export function migrate(database: DatabaseSync, migrations: readonly string[] = MIGRATIONS): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > migrations.length) {
    throw new ApplicationServerError(
      'store_newer',
      `The session store has version ${version}; this release knows ${migrations.length}.`,
    )
  }
  for (const sql of migrations.slice(version)) database.exec(sql)
  database.exec(`PRAGMA user_version = ${migrations.length}`)
}
