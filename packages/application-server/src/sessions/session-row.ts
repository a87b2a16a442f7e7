import { parseDevAddr, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import type { SessionId, StoredSession, WrappedAppSKey } from './stored-session.ts'

/** A row of the table `session`; a driver may give its numbers as text. */
interface SessionRow {
  readonly id: string
  readonly dev_eui: string
  readonly dev_addr: string
  readonly join_eui: string | null
  readonly session_key_id: Uint8Array | null
  readonly kek_label: string | null
  readonly wrapped_app_s_key: Uint8Array | null
  readonly begun_at_ms: number | string
  readonly seen_at_ms: number | string
  readonly last_f_cnt_up: number | string | null
  readonly late_f_cnt_up: number | string
}

/** What a column takes, in SQLite and in PostgreSQL. */
export type ColumnValue = string | number | Uint8Array | null

/** From a row of the table `session`. Bytes are copied: a driver may lend a part of what it received. */
export function sessionFrom(columns: Record<string, unknown>): StoredSession {
  // The database has checked the types.
  const row = columns as unknown as SessionRow
  return {
    id: row.id as SessionId,
    devEui: parseDevEui(row.dev_eui),
    devAddr: parseDevAddr(row.dev_addr),
    joinEui: row.join_eui === null ? undefined : parseJoinEui(row.join_eui),
    sessionKeyId: row.session_key_id === null ? undefined : new Uint8Array(row.session_key_id),
    appSKey: envelopeFrom(row),
    begunAtMs: Number(row.begun_at_ms),
    seenAtMs: Number(row.seen_at_ms),
    lastFCntUp: row.last_f_cnt_up === null ? undefined : Number(row.last_f_cnt_up),
    lateFCntUp: Number(row.late_f_cnt_up),
  }
}

function envelopeFrom({ kek_label: kekLabel, wrapped_app_s_key: aesKey }: SessionRow): WrappedAppSKey | undefined {
  return kekLabel === null || aesKey === null ? undefined : { kekLabel, aesKey: new Uint8Array(aesKey) }
}

/** In the order of the table's columns. */
export function columnsOf(session: StoredSession): ColumnValue[] {
  return [
    session.id,
    session.devEui,
    session.devAddr,
    session.joinEui ?? null,
    session.sessionKeyId ?? null,
    session.appSKey?.kekLabel ?? null,
    session.appSKey?.aesKey ?? null,
    session.begunAtMs,
    session.seenAtMs,
    session.lastFCntUp ?? null,
    session.lateFCntUp,
  ]
}
