import { DIALECT_NAMES } from '@mortise/backend-interfaces'
import { parseNsId } from '@mortise/lorawan'
import {
  type Peer,
  PEER_KINDS,
  PEER_PROTOCOLS,
  type PeerAuthority,
  type PeerCertificate,
  type PeerSettings,
  type PeerToken,
} from '../directory-ports.ts'
import { StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, flag, integer, oneOf, optional, type Row, text } from './row.ts'

/** Peers, their certificates and tokens, of which there are few. */
export class PeerTable {
  readonly #list: Statement
  readonly #listCertificates: Statement
  readonly #listTokens: Statement
  readonly #insert: Statement
  readonly #change: Statement
  readonly #disable: Statement
  readonly #remove: Statement
  readonly #insertCertificate: Statement
  readonly #removeCertificate: Statement
  readonly #insertToken: Statement
  readonly #removeToken: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare('SELECT * FROM peer ORDER BY kind DESC, name')
    this.#listCertificates = connection.prepare('SELECT * FROM peer_certificate ORDER BY id')
    this.#listTokens = connection.prepare('SELECT * FROM peer_token ORDER BY id')
    // A conflict may be the peer's id, its kind and name, or CA and name of its certificate, which map to one peer only.
    this.#insert = connection.prepare(
      `INSERT INTO peer (organisation, peer_id, kind, name, ns_id, protocol, dialect, async_url, kek_only, disabled,
         authority_fingerprint, authority_name, authority_pem, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
    this.#change = connection.prepare(
      'UPDATE peer SET ns_id = ?, protocol = ?, dialect = ?, async_url = ?, kek_only = ? WHERE peer_id = ?',
    )
    this.#disable = connection.prepare('UPDATE peer SET disabled = 1 WHERE peer_id = ?')
    // Its certificates, tokens and agreements go with it.
    this.#remove = connection.prepare('DELETE FROM peer WHERE peer_id = ?')
    this.#insertCertificate = connection.prepare(
      `INSERT INTO peer_certificate (organisation, fingerprint, peer, subject, not_before, not_after, added_at)
       SELECT organisation, ?, id, ?, ?, ?, ? FROM peer WHERE peer_id = ? ON CONFLICT DO NOTHING`,
    )
    this.#removeCertificate = connection.prepare(
      'DELETE FROM peer_certificate WHERE fingerprint = ? AND peer = (SELECT id FROM peer WHERE peer_id = ?)',
    )
    this.#insertToken = connection.prepare(
      `INSERT INTO peer_token (organisation, digest, peer, header, added_at)
       SELECT organisation, ?, id, ?, ? FROM peer WHERE peer_id = ? ON CONFLICT DO NOTHING`,
    )
    this.#removeToken = connection.prepare(
      'DELETE FROM peer_token WHERE digest = ? AND peer = (SELECT id FROM peer WHERE peer_id = ?)',
    )
  }

  /** Network servers first, each kind by its id. */
  list(): Peer[] {
    const certificates = Map.groupBy(this.#listCertificates.all(), (row) => integer(row, 'peer'))
    const tokens = Map.groupBy(this.#listTokens.all(), (row) => integer(row, 'peer'))
    return this.#list.all().map((row) => {
      const id = integer(row, 'id')
      return toPeer(row, certificates.get(id) ?? [], tokens.get(id) ?? [])
    })
  }

  /** @throws StorageError peer_exists */
  add({ certificates, authority, tokens, ...peer }: Peer): void {
    const added = this.#insert.run(
      DEFAULT_ORGANISATION,
      peer.peerId,
      peer.kind,
      peer.id,
      ...settingColumns(peer),
      peer.disabled ? 1 : 0,
      authority === undefined ? null : Buffer.from(authority.fingerprint, 'hex'),
      authority?.name ?? null,
      authority?.pem ?? null,
      peer.createdAt,
    )
    if (added === 0) throw new StorageError('peer_exists', `${peer.kind} ${peer.id}, or another with its CA and name`)
    for (const certificate of certificates) this.addCertificate(peer.peerId, certificate)
    for (const token of tokens) this.addToken(peer.peerId, token)
  }

  /** @throws StorageError row_missing */
  change(peerId: Buffer, settings: PeerSettings): void {
    if (this.#change.run(...settingColumns(settings), peerId) === 0) throw missing(peerId)
  }

  /** @throws StorageError row_missing */
  disable(peerId: Buffer): void {
    if (this.#disable.run(peerId) === 0) throw missing(peerId)
  }

  /** @throws StorageError row_missing */
  remove(peerId: Buffer): void {
    if (this.#remove.run(peerId) === 0) throw missing(peerId)
  }

  /** @throws StorageError peer_exists when a peer has it already, or there is no such peer to have it */
  addCertificate(peerId: Buffer, { fingerprint, subject, notBefore, notAfter, addedAt }: PeerCertificate): void {
    const key = Buffer.from(fingerprint, 'hex')
    if (this.#insertCertificate.run(key, subject, notBefore, notAfter, addedAt, peerId) === 0)
      throw new StorageError('peer_exists', `one with certificate ${fingerprint}`)
  }

  /** @throws StorageError row_missing */
  removeCertificate(peerId: Buffer, fingerprint: string): void {
    if (this.#removeCertificate.run(Buffer.from(fingerprint, 'hex'), peerId) === 0) throw missing(peerId)
  }

  /** @throws StorageError peer_exists when a peer has it already, or there is no such peer to have it */
  addToken(peerId: Buffer, { digest, header, addedAt }: PeerToken): void {
    if (this.#insertToken.run(Buffer.from(digest, 'hex'), header, addedAt, peerId) === 0)
      throw new StorageError('peer_exists', `one with token ${digest}`)
  }

  /** @throws StorageError row_missing */
  removeToken(peerId: Buffer, digest: string): void {
    if (this.#removeToken.run(Buffer.from(digest, 'hex'), peerId) === 0) throw missing(peerId)
  }
}

function settingColumns({ nsId, protocol, dialect, asyncUrl, kekOnly }: PeerSettings) {
  const nsIdBytes = nsId === undefined ? null : Buffer.from(nsId, 'hex')
  return [nsIdBytes, protocol, dialect, asyncUrl ?? null, kekOnly ? 1 : 0] as const
}

function toPeer(row: Row, certificates: readonly Row[], tokens: readonly Row[]): Peer {
  return {
    peerId: blob(row, 'peer_id'),
    kind: oneOf(row, 'kind', PEER_KINDS),
    id: text(row, 'name'),
    nsId: optional(row, 'ns_id', (row, column) => parseNsId(blob(row, column).toString('hex'))),
    protocol: oneOf(row, 'protocol', PEER_PROTOCOLS),
    dialect: oneOf(row, 'dialect', DIALECT_NAMES),
    asyncUrl: optional(row, 'async_url', text),
    kekOnly: flag(row, 'kek_only'),
    disabled: flag(row, 'disabled'),
    certificates: certificates.map(toCertificate),
    authority: optional(row, 'authority_fingerprint', blob) && toAuthority(row),
    tokens: tokens.map(toToken),
    createdAt: integer(row, 'created_at'),
  }
}

function toCertificate(row: Row): PeerCertificate {
  return {
    fingerprint: blob(row, 'fingerprint').toString('hex'),
    subject: text(row, 'subject'),
    notBefore: integer(row, 'not_before'),
    notAfter: integer(row, 'not_after'),
    addedAt: integer(row, 'added_at'),
  }
}

function toToken(row: Row): PeerToken {
  return {
    digest: blob(row, 'digest').toString('hex'),
    header: text(row, 'header'),
    addedAt: integer(row, 'added_at'),
  }
}

function toAuthority(row: Row): PeerAuthority {
  return {
    fingerprint: blob(row, 'authority_fingerprint').toString('hex'),
    name: text(row, 'authority_name'),
    pem: text(row, 'authority_pem'),
  }
}

function missing(peerId: Buffer): StorageError {
  return new StorageError('row_missing', `peer ${peerId.toString('hex')}`)
}
