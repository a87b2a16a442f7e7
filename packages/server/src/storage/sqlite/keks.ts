import { PEER_KINDS, type PeerKind } from '../directory-ports.ts'
import { type Kek, StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, oneOf, type Row, text } from './row.ts'

/**
 * KEKs, of which there are few. The ones that joins ask for are kept in memory: this process is the only one that writes
 * them, under the lock of the directory.
 */
export class KekTable {
  readonly #list: Statement
  readonly #find: Statement
  readonly #newest: Statement
  readonly #insert: Statement
  readonly #remove: Statement
  readonly #newestByRecipient = new Map<string, Kek | undefined>()

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
    const name = `${kind} ${recipient}`
    const known = this.#newestByRecipient.get(name)
    if (known !== undefined || this.#newestByRecipient.has(name)) return known
    const row = this.#newest.get(kind, recipient)
    const kek = row && toKek(row)
    // Recipients without one are kept too: those that are asked for are peers, or stand in signed records.
    this.#newestByRecipient.set(name, kek)
    return kek
  }

  /** @throws StorageError kek_exists */
  add(kek: Kek): void {
    this.#newestByRecipient.clear()
    const { kekId, kind, recipient, label, kekVersion, size, record, createdAt } = kek
    if (
      this.#insert.run(DEFAULT_ORGANISATION, kekId, kind, recipient, label, kekVersion, size, record, createdAt) === 0
    )
      throw new StorageError('kek_exists', kekId.toString('hex'))
  }

  /** @throws StorageError row_missing */
  remove(kekId: Buffer): void {
    this.#newestByRecipient.clear()
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
