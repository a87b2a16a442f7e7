import { type DevEui, MAX_F_CNT } from '@mortise/lorawan'
import type { Pool, PoolClient } from 'pg'
import { ApplicationServerError, storeFull } from '../errors.ts'
import { migrate } from './postgresql-schema.ts'
import { columnsOf, sessionFrom } from './session-row.ts'
import {
  DEFAULT_STORE_LIMITS,
  firstStored,
  mergeSessions,
  newestFirst,
  type SessionStore,
  type SessionStoreLimits,
  sessionToForget,
  type UplinkAcceptance,
} from './session-store.ts'
import type { DownlinkCounterId, NewSession, SessionId, StoredSession } from './stored-session.ts'
import { acceptInWindow } from './uplink-window.ts'

const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/

export interface PostgresqlSessionStoreOptions {
  /** A pool of the package `pg`. It stays the caller's, also to end. */
  readonly pool: Pool
  /** Made when it is not there: lower-case letters, digits and underscores. */
  readonly schema?: string
  readonly limits?: SessionStoreLimits
}

/** Sessions in PostgreSQL, for any number of processes on any number of machines. */
export class PostgresqlSessionStore implements SessionStore {
  readonly #pool: Pool
  readonly #limits: SessionStoreLimits
  readonly #sql: Statements
  #isClosed = false

  private constructor({ pool, limits = DEFAULT_STORE_LIMITS }: PostgresqlSessionStoreOptions, schema: string) {
    this.#pool = pool
    this.#limits = limits
    this.#sql = statementsOf(schema)
  }

  /**
   * Makes the tables, or brings them to this release.
   * @throws {ApplicationServerError} `store_failed`, `store_newer`, `store_not_durable`
   */
  static async open(options: PostgresqlSessionStoreOptions): Promise<PostgresqlSessionStore> {
    const { schema = 'mortise_sessions' } = options
    if (!SCHEMA_NAME.test(schema)) throw new ApplicationServerError('store_failed', 'This is no name of a schema.')
    const store = new PostgresqlSessionStore(options, schema)
    await store.#step(async (client) => {
      await requireDurability(client)
      await migrate(client, schema)
    })
    return store
  }

  begin(session: NewSession, nowMs: number): Promise<StoredSession | 'superseded'> {
    return this.#step(async (client) => {
      await client.query(this.#sql.lockDevice, [session.devEui])
      const others = await this.#sessions(client, this.#sql.ofDeviceLocked, session.devEui)
      const known = others.find(({ id }) => id === session.id)
      if (known !== undefined) return await this.#put(client, mergeSessions(known, session))
      const first = firstStored(session, nowMs)
      const forgotten = sessionToForget([...others, first])
      if (forgotten === first) return 'superseded'
      if (others.length === 0) await this.#countDevice(client)
      if (forgotten !== undefined) await client.query(this.#sql.remove, [forgotten.id])
      return await this.#put(client, first)
    })
  }

  async sessionsOf(devEui: DevEui): Promise<readonly StoredSession[]> {
    return newestFirst(await this.#attempt(() => this.#sessions(this.#pool, this.#sql.ofDevice, devEui)))
  }

  acceptUplink(id: SessionId, fCnt: number, nowMs: number): Promise<UplinkAcceptance> {
    return this.#step(async (client) => {
      const [session] = await this.#sessions(client, this.#sql.findLocked, id)
      if (session === undefined) return 'session_unknown'
      const window = acceptInWindow(session, fCnt)
      if (typeof window === 'string') return window
      await client.query(this.#sql.accept, [window.lastFCntUp, window.lateFCntUp, nowMs, id])
      return 'accepted'
    })
  }

  allocateFCntDown(counter: DownlinkCounterId, atLeast: number): Promise<number | 'f_cnt_exhausted'> {
    return this.#attempt(async () => {
      if (atLeast > MAX_F_CNT) return 'f_cnt_exhausted'
      const { rows } = await this.#pool.query<{ f_cnt: string }>(this.#sql.allocate, [counter, atLeast, MAX_F_CNT])
      return rows[0] === undefined ? 'f_cnt_exhausted' : Number(rows[0].f_cnt)
    })
  }

  forgetDevices(seenBeforeMs: number): Promise<number> {
    return this.#step(async (client) => {
      // Whoever changes sessions waits: row by row, the two would wait for each other.
      await client.query(this.#sql.lockSessions)
      const { rows } = await client.query<{ dev_eui: string }>(this.#sql.gone, [seenBeforeMs])
      await client.query(this.#sql.removeDevices, [rows.map((row) => row.dev_eui)])
      await client.query(this.#sql.discount, [rows.length])
      return rows.length
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    return Promise.resolve()
  }

  async #countDevice(client: PoolClient): Promise<void> {
    const { rowCount } = await client.query(this.#sql.count, [this.#limits.maxDevices])
    if (rowCount === 0) throw storeFull()
  }

  async #sessions(client: Pool | PoolClient, sql: string, key: string): Promise<StoredSession[]> {
    const { rows } = await client.query<Record<string, unknown>>(sql, [key])
    return rows.map(sessionFrom)
  }

  async #put(client: PoolClient, session: StoredSession): Promise<StoredSession> {
    await client.query(this.#sql.put, columnsOf(session))
    return session
  }

  /** One transaction. */
  #step<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    return this.#attempt(async () => {
      const client = await this.#pool.connect()
      let broken: Error | undefined
      try {
        await client.query('BEGIN')
        const result = await work(client)
        await client.query('COMMIT')
        return result
      } catch (error) {
        broken = await rolledBack(client)
        throw error
      } finally {
        client.release(broken)
      }
    })
  }

  /** @throws {ApplicationServerError} `store_failed`, with what PostgreSQL or the driver says as its cause */
  async #attempt<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      if (this.#isClosed) throw new Error('the store was closed')
      return await work()
    } catch (cause) {
      if (cause instanceof ApplicationServerError) throw cause
      throw new ApplicationServerError('store_failed', 'The session store cannot be used.', { cause })
    }
  }
}

/** Why the connection cannot be used any more, if it cannot. */
async function rolledBack(client: PoolClient): Promise<Error | undefined> {
  try {
    await client.query('ROLLBACK')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** A downlink counter that a power failure takes back would be given twice. */
async function requireDurability(client: PoolClient): Promise<void> {
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [setting])
    if (rows[0]?.value !== 'off') continue
    throw new ApplicationServerError('store_not_durable', `PostgreSQL runs with ${setting} off.`)
  }
}

type Statements = ReturnType<typeof statementsOf>

function statementsOf(schema: string) {
  const session = `${schema}.session`
  return {
    lockDevice: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 1))',
    lockSessions: `LOCK TABLE ${session} IN EXCLUSIVE MODE`,
    findLocked: `SELECT * FROM ${session} WHERE id = $1 FOR UPDATE`,
    ofDevice: `SELECT * FROM ${session} WHERE dev_eui = $1`,
    ofDeviceLocked: `SELECT * FROM ${session} WHERE dev_eui = $1 ORDER BY id FOR UPDATE`,
    put: `INSERT INTO ${session} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO UPDATE
          SET join_eui = excluded.join_eui, session_key_id = excluded.session_key_id, kek_label = excluded.kek_label,
              wrapped_app_s_key = excluded.wrapped_app_s_key, begun_at_ms = excluded.begun_at_ms`,
    accept: `UPDATE ${session} SET last_f_cnt_up = $1, late_f_cnt_up = $2, seen_at_ms = $3 WHERE id = $4`,
    allocate: `INSERT INTO ${schema}.downlink_counter AS counter VALUES ($1, $2::bigint + 1) ON CONFLICT (id) DO UPDATE
               SET next_f_cnt_down = greatest(counter.next_f_cnt_down, $2) + 1
               WHERE greatest(counter.next_f_cnt_down, $2) <= $3 RETURNING next_f_cnt_down - 1 AS f_cnt`,
    remove: `DELETE FROM ${session} WHERE id = $1`,
    removeDevices: `DELETE FROM ${session} WHERE dev_eui = ANY ($1)`,
    gone: `SELECT dev_eui FROM ${session} GROUP BY dev_eui HAVING max(seen_at_ms) < $1`,
    count: `UPDATE ${schema}.device_count SET devices = devices + 1 WHERE devices < $1`,
    discount: `UPDATE ${schema}.device_count SET devices = devices - $1`,
  }
}
