import { type Peer, PEER_KINDS, PEER_PROTOCOLS, StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, flag, integer, oneOf, optional, type Row, text } from './row.ts'

export class PeerTable {
  readonly #list: Statement
  readonly #insert: Statement
  readonly #disable: Statement
  readonly #remove: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare('SELECT * FROM peer ORDER BY kind DESC, name')
    // A conflict may be the peer's id, its kind and name, or its certificate, which maps to one peer only.
    this.#insert = connection.prepare(
      `INSERT INTO peer (organisation, peer_id, kind, name, ns_id, protocol, disabled, certificate_fingerprint,
         certificate_subject, certificate_not_before, certificate_not_after, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
    this.#disable = connection.prepare('UPDATE peer SET disabled = 1 WHERE peer_id = ?')
    this.#remove = connection.prepare('DELETE FROM peer WHERE peer_id = ?')
  }

  /** Network servers first, each kind by its id. */
  list(): Peer[] {
    return this.#list.all().map(toPeer)
  }

  /** @throws StorageError peer_exists */
  add({ certificate, ...peer }: Peer): void {
    const added = this.#insert.run(
      DEFAULT_ORGANISATION,
      peer.peerId,
      peer.kind,
      peer.id,
      peer.nsId ?? null,
      peer.protocol,
      peer.disabled ? 1 : 0,
      Buffer.from(certificate.fingerprint, 'hex'),
      certificate.subject,
      certificate.notBefore,
      certificate.notAfter,
      peer.createdAt,
    )
    if (added === 0) throw new StorageError('peer_exists', `${peer.kind} ${peer.id}, or another with its certificate`)
  }

  /** @throws StorageError row_missing */
  disable(peerId: Buffer): void {
    if (this.#disable.run(peerId) === 0) throw new StorageError('row_missing', `peer ${peerId.toString('hex')}`)
  }

  /** @throws StorageError row_missing */
  remove(peerId: Buffer): void {
    if (this.#remove.run(peerId) === 0) throw new StorageError('row_missing', `peer ${peerId.toString('hex')}`)
  }
}

function toPeer(row: Row): Peer {
  return {
    peerId: blob(row, 'peer_id'),
    kind: oneOf(row, 'kind', PEER_KINDS),
    id: text(row, 'name'),
    nsId: optional(row, 'ns_id', text),
    protocol: oneOf(row, 'protocol', PEER_PROTOCOLS),
    disabled: flag(row, 'disabled'),
    certificate: {
      fingerprint: blob(row, 'certificate_fingerprint').toString('hex'),
      subject: text(row, 'certificate_subject'),
      notBefore: integer(row, 'certificate_not_before'),
      notAfter: integer(row, 'certificate_not_after'),
    },
    createdAt: integer(row, 'created_at'),
  }
}
