import { type Kek, PEER_KINDS, type PeerKind, StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, oneOf, type Row, text } from './row.ts'

export class KekTable {
  readonly #list: Statement
  readonly #find: Statement
  readonly #newest: Statement
  readonly #insert: Statement
  readonly #remove: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare('SELECT * FROM kek ORDER BY kind DESC, recipient, kek_version, id')
    this.#find = connection.prepare('SELECT * FROM kek WHERE kek_id = ?')
    this.#newest = connection.prepare(
      'SELECT * FROM kek WHERE kind = ? AND recipient = ? ORDER BY kek_version DESC, id DESC LIMIT 1',
    )
    this.#insert = connection.prepare(
      `INSERT INTO kek (organisation, kek_id, kind, recipient, label, kek_version, size, record, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
    this.#remove = connection.prepare('DELETE FROM kek WHERE kek_id = ?')
  }

  /** Network servers' first, each recipient's by version. */
  list(): Kek[] {
    return this.#list.all().map(toKek)
  }

  find(kekId: Buffer): Kek | undefined {
    const row = this.#find.get(kekId)
    return row && toKek(row)
  }

  newest(kind: PeerKind, recipient: string): Kek | undefined {
    const row = this.#newest.get(kind, recipient)
    return row && toKek(row)
  }

  /** @throws StorageError kek_exists */
  add(kek: Kek): void {
    const { kekId, kind, recipient, label, kekVersion, size, record, createdAt } = kek
    if (
      this.#insert.run(DEFAULT_ORGANISATION, kekId, kind, recipient, label, kekVersion, size, record, createdAt) === 0
    )
      throw new StorageError('kek_exists', kekId.toString('hex'))
  }

  /** @throws StorageError row_missing */
  remove(kekId: Buffer): void {
    if (this.#remove.run(kekId) === 0) throw new StorageError('row_missing', `KEK ${kekId.toString('hex')}`)
  }
}

function toKek(row: Row): Kek {
  return {
    kekId: blob(row, 'kek_id'),
    kind: oneOf(row, 'kind', PEER_KINDS),
    recipient: text(row, 'recipient'),
    label: text(row, 'label'),
    kekVersion: integer(row, 'kek_version'),
    size: integer(row, 'size'),
    record: blob(row, 'record'),
    createdAt: integer(row, 'created_at'),
  }
}
