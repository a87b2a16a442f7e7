import { type DevEui, devAddrToBytes, eui64ToBytes, type JoinEui, netIdToBytes } from '@mortise/lorawan'
import { type JoinCommit, type KeySet, type Session, SESSIONS_KEPT } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { SELECT_KEY_SETS, toKeySet, toSession } from './key-set-row.ts'

export type CommitResult = 'committed' | 'lost'

/** Key sets, their nonces and sessions, as a join reads and writes them. */
export class JoinTables {
  readonly #findKeySets: Statement
  readonly #findSession: Statement
  readonly #listSessions: Statement
  readonly #insertState: Statement
  readonly #updateState: Statement
  readonly #insertSession: Statement
  readonly #deleteOldSessions: Statement

  constructor(connection: Connection) {
    this.#findKeySets = connection.prepare(
      `${SELECT_KEY_SETS} AND key_set.dev_eui = ? AND key_set.join_eui = ? ORDER BY key_set.generation DESC, key_set.id`,
    )
    this.#findSession = connection.prepare('SELECT * FROM session WHERE key_set = ? AND session_key_id = ?')
    this.#listSessions = connection.prepare('SELECT * FROM session WHERE key_set = ? ORDER BY join_nonce DESC')
    // Both name the key set again: one that was removed since the decision was made takes no join.
    this.#insertState = connection.prepare(
      `INSERT INTO join_state (key_set, organisation, last_join_nonce, dev_nonce, net_id, dev_addr, joined_at,
         request_digest, session_key_id, ns_kek_id, as_kek_id, dev_nonces)
       SELECT id, organisation, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM key_set WHERE id = ?1 AND live = 1
       ON CONFLICT DO NOTHING`,
    )
    // A JoinNonce that does not rise would be a defect of the caller; the database refuses it all the same.
    this.#updateState = connection.prepare(
      `UPDATE join_state SET last_join_nonce = ?2, dev_nonce = ?3, net_id = ?4, dev_addr = ?5, joined_at = ?6,
         request_digest = ?7, session_key_id = ?8, ns_kek_id = ?9, as_kek_id = ?10, dev_nonces = ?11
       WHERE key_set = ?1 AND last_join_nonce = ?12 AND ?2 > ?12
         AND EXISTS (SELECT 1 FROM key_set WHERE id = ?1 AND live = 1)`,
    )
    this.#insertSession = connection.prepare(
      `INSERT INTO session (key_set, join_nonce, organisation, net_id, dev_addr, created_at, session_key_id, record)
       SELECT id, ?2, organisation, ?3, ?4, ?5, ?6, ?7 FROM key_set WHERE id = ?1`,
    )
    this.#deleteOldSessions = connection.prepare(
      `DELETE FROM session WHERE key_set = ?1 AND join_nonce <=
         (SELECT join_nonce FROM session WHERE key_set = ?1 ORDER BY join_nonce DESC LIMIT 1 OFFSET ${SESSIONS_KEPT})`,
    )
  }

  findKeySets(joinEui: JoinEui, devEui: DevEui): KeySet[] {
    return this.#findKeySets.all(eui64ToBytes(devEui), eui64ToBytes(joinEui)).map(toKeySet)
  }

  findSession(keySet: number, sessionKeyId: Buffer): Session | undefined {
    const row = this.#findSession.get(keySet, sessionKeyId)
    return row && toSession(row)
  }

  listSessions(keySet: number): Session[] {
    return this.#listSessions.all(keySet).map(toSession)
  }

  /** Compare-and-set of the nonces, then the session. Call inside a transaction. */
  applyJoin(join: JoinCommit): CommitResult {
    if (!this.#advanceState(join)) return 'lost'
    const { netId, devAddr, joinNonce, joinedAt, sessionKeyId } = join.last
    this.#insertSession.run(
      join.keySet,
      joinNonce,
      netIdToBytes(netId),
      devAddrToBytes(devAddr),
      joinedAt,
      sessionKeyId,
      join.sessionRecord,
    )
    this.#deleteOldSessions.run(join.keySet)
    return 'committed'
  }

  #advanceState({ keySet, expectedJoinNonce, devNonces, last }: JoinCommit): boolean {
    const values = [
      keySet,
      last.joinNonce,
      last.devNonce,
      netIdToBytes(last.netId),
      devAddrToBytes(last.devAddr),
      last.joinedAt,
      last.requestDigest,
      last.sessionKeyId,
      last.nsKekId ?? null,
      last.asKekId ?? null,
      devNonces,
    ]
    if (expectedJoinNonce === 0) return this.#insertState.run(...values) === 1
    return this.#updateState.run(...values, expectedJoinNonce) === 1
  }
}
