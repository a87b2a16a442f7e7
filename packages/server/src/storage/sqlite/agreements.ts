import type { AgreementScope } from '@mortise/hsm'
import { devEuiFromBytes, eui64ToBytes, joinEuiFromBytes, parseNetId } from '@mortise/lorawan'
import type { Agreement } from '../directory-ports.ts'
import { StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { blob, integer, optional, type Row, text } from './row.ts'

export class AgreementTable {
  readonly #list: Statement
  readonly #findPeer: Statement
  readonly #insert: Statement
  readonly #remove: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare(
      `SELECT agreement.*, peer.peer_id, peer.name FROM agreement JOIN peer ON peer.id = agreement.peer
       ORDER BY peer.name, agreement.join_eui, agreement.bits, agreement.dev_eui`,
    )
    this.#findPeer = connection.prepare("SELECT id FROM peer WHERE peer_id = ? AND kind = 'ns'")
    this.#insert = connection.prepare(
      `INSERT INTO agreement (organisation, peer, dev_eui, join_eui, bits, added_at)
       SELECT organisation, id, ?, ?, ?, ? FROM peer WHERE id = ? ON CONFLICT DO NOTHING`,
    )
    this.#remove = connection.prepare(
      'DELETE FROM agreement WHERE dev_eui IS ? AND join_eui IS ? AND bits IS ? AND peer = ?',
    )
  }

  /** By network server; those for JoinEUIs after those for devices. */
  list(): Agreement[] {
    return this.#list.all().map(toAgreement)
  }

  /** @throws StorageError agreement_exists; row_missing without such a network server */
  add(peerId: Buffer, scope: AgreementScope, addedAt: number): void {
    if (this.#insert.run(...scopeColumns(scope), addedAt, this.#peer(peerId)) === 0)
      throw new StorageError('agreement_exists', describe(scope))
  }

  /** @throws StorageError row_missing */
  remove(peerId: Buffer, scope: AgreementScope): void {
    if (this.#remove.run(...scopeColumns(scope), this.#peer(peerId)) === 0)
      throw new StorageError('row_missing', `agreement for ${describe(scope)}`)
  }

  #peer(peerId: Buffer): number {
    const row = this.#findPeer.get(peerId)
    if (row === undefined) throw new StorageError('row_missing', `network server ${peerId.toString('hex')}`)
    return integer(row, 'id')
  }
}

function scopeColumns(scope: AgreementScope) {
  if ('devEui' in scope) return [eui64ToBytes(scope.devEui), null, null] as const
  return [null, eui64ToBytes(scope.joinEui), scope.bits] as const
}

function describe(scope: AgreementScope): string {
  return 'devEui' in scope ? `DevEUI ${scope.devEui}` : `JoinEUI ${scope.joinEui}/${scope.bits}`
}

function toAgreement(row: Row): Agreement {
  const devEui = optional(row, 'dev_eui', blob)
  return {
    peerId: blob(row, 'peer_id'),
    netId: parseNetId(text(row, 'name')),
    scope:
      devEui === undefined
        ? { joinEui: joinEuiFromBytes(blob(row, 'join_eui')), bits: integer(row, 'bits') }
        : { devEui: devEuiFromBytes(devEui) },
    addedAt: integer(row, 'added_at'),
  }
}
