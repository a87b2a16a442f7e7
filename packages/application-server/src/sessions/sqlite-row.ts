import type { SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { parseDevAddr, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import type { SessionId, StoredSession, WrappedAppSKey } from './stored-session.ts'

interface SessionRow {
  readonly id: string
  readonly dev_eui: string
  readonly dev_addr: string
  readonly join_eui: string | null
  readonly session_key_id: Uint8Array | null
  readonly kek_label: string | null
  readonly wrapped_app_s_key: Uint8Array | null
  readonly begun_at_ms: number
  readonly seen_at_ms: number
  readonly last_f_cnt_up: number | null
  readonly late_f_cnt_up: number
}

/** From a row of the table `session`. */
export function sessionFrom(columns: Record<string, SQLOutputValue>): StoredSession {
  // The table is STRICT: SQLite has checked the types.
  const row = columns as unknown as SessionRow
  return {
    id: row.id as SessionId,
    devEui: parseDevEui(row.dev_eui),
    devAddr: parseDevAddr(row.dev_addr),
    joinEui: row.join_eui === null ? undefined : parseJoinEui(row.join_eui),
    sessionKeyId: row.session_key_id ?? undefined,
    appSKey: envelopeFrom(row),
    begunAtMs: row.begun_at_ms,
    seenAtMs: row.seen_at_ms,
    lastFCntUp: row.last_f_cnt_up ?? undefined,
    lateFCntUp: row.late_f_cnt_up,
  }
}

function envelopeFrom({ kek_label: kekLabel, wrapped_app_s_key: aesKey }: SessionRow): WrappedAppSKey | undefined {
  return kekLabel === null || aesKey === null ? undefined : { kekLabel, aesKey }
}

/** In the order of the table's columns. */
export function columnsOf(session: StoredSession): SQLInputValue[] {
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
