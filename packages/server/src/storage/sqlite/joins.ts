import { type DevEui, eui64ToBytes, type JoinEui } from '@mortise/lorawan'
import type { JoinCommit, JoinKeySet, Session } from '../ports.ts'
import type { ArrayStatement, Connection, Statement } from './connection.ts'
import { decodeJoinRow, decodeSessions, encodeJoinRow } from './join-row.ts'
import { asBuffer, asInteger, blob, integer } from './row.ts'

export type CommitResult = 'committed' | 'lost'

/** Key sets with their nonces and sessions, as a join reads and writes them. */
export class JoinTables {
  readonly #findKeySets: ArrayStatement
  readonly #findJoins: Statement
  readonly #update: Statement

  constructor(connection: Connection) {
    this.#findKeySets = connection.prepareArrays(
      `SELECT id, generation, record, last_join_nonce, joins FROM key_set
       WHERE dev_eui = ? AND join_eui = ? AND live = 1`,
    )
    this.#findJoins = connection.prepare('SELECT last_join_nonce, joins FROM key_set WHERE id = ?')
    // A key set that was removed since the decision was made takes no join. A JoinNonce that does not rise would be a
    // defect of the caller; the database refuses it all the same.
    this.#update = connection.prepare(
      `UPDATE key_set SET last_join_nonce = ?2, joins = ?3
       WHERE id = ?1 AND live = 1 AND last_join_nonce = ?4 AND ?2 > ?4`,
    )
  }

  /** Newest generation first. @throws StorageError database_corrupt */
  findKeySets(joinEui: JoinEui, devEui: DevEui): JoinKeySet[] {
    const keySets = this.#findKeySets.all(eui64ToBytes(devEui), eui64ToBytes(joinEui)).map(toJoinKeySet)
    // Nearly always one: not worth a sort of the database's.
    return keySets.length < 2 ? keySets : keySets.sort((a, b) => b.generation - a.generation || a.keySet - b.keySet)
  }

  findSession(keySet: number, sessionKeyId: Buffer): Session | undefined {
    return this.listSessions(keySet).find((session) => session.sessionKeyId.equals(sessionKeyId))
  }

  /** Newest first. */
  listSessions(keySet: number): Session[] {
    const row = this.#findJoins.get(keySet)
    const state = row && decodeJoinRow(keySet, integer(row, 'last_join_nonce'), blob(row, 'joins'))
    return state === undefined ? [] : decodeSessions(state)
  }

  /** Compare-and-set of the nonces, with the session. Call inside a transaction. */
  applyJoin(join: JoinCommit): CommitResult {
    const { keySet, previous, last } = join
    const changed = this.#update.run(keySet, last.joinNonce, encodeJoinRow(join), previous?.lastJoinNonce ?? 0)
    return changed === 1 ? 'committed' : 'lost'
  }
}

function toJoinKeySet([id, generation, record, lastJoinNonce, joins]: readonly unknown[]): JoinKeySet {
  const keySet = asInteger(id, 'id')
  return {
    keySet,
    generation: asInteger(generation, 'generation'),
    record: asBuffer(record, 'record'),
    state: decodeJoinRow(keySet, asInteger(lastJoinNonce, 'last_join_nonce'), asBuffer(joins, 'joins')),
  }
}
