import type { PoolClient } from 'pg'
import { ApplicationServerError } from '../errors.ts'

/** One entry a version, of a schema that is named before. A released one is never edited: another follows it. */
const MIGRATIONS = [
  `CREATE TABLE session (
     id text PRIMARY KEY,
     dev_eui text NOT NULL,
     dev_addr text NOT NULL,
     join_eui text,
     session_key_id bytea,
     kek_label text,
     wrapped_app_s_key bytea CHECK (length(wrapped_app_s_key) = 24),
     begun_at_ms bigint NOT NULL,
     seen_at_ms bigint NOT NULL,
     last_f_cnt_up bigint,
     late_f_cnt_up bigint NOT NULL,
     CHECK ((kek_label IS NULL) = (wrapped_app_s_key IS NULL))
   );
   CREATE INDEX session_of_device ON session (dev_eui, seen_at_ms);
   CREATE TABLE downlink_counter (
     id text PRIMARY KEY,
     next_f_cnt_down bigint NOT NULL
   );
   CREATE TABLE device_count (devices bigint NOT NULL);
   INSERT INTO device_count VALUES (0);`,
] as const

/**
 * Brings `schema` to the newest version, in the transaction of `client`, which it makes wait for others that do the same.
 * The schema is the first of the search path afterwards, until the transaction ends.
 * @throws {ApplicationServerError} `store_newer`: a later release has written it
 */
export async function migrate(
  client: PoolClient,
  schema: string,
  migrations: readonly string[] = MIGRATIONS,
): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`mortise ${schema}`])
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
  await client.query(`SET LOCAL search_path TO ${schema}`)
  await client.query('CREATE TABLE IF NOT EXISTS version (version integer NOT NULL)')
  const { rows } = await client.query<{ version: number }>('SELECT version FROM version')
  const version = rows[0]?.version ?? 0
  if (version > migrations.length) {
    throw new ApplicationServerError(
      'store_newer',
      `The session store has version ${version}; this release knows ${migrations.length}.`,
    )
  }
  for (const sql of migrations.slice(version)) await client.query(sql)
  await client.query('DELETE FROM version')
  await client.query('INSERT INTO version VALUES ($1)', [migrations.length])
}
