import { eui64ToBytes, joinEuiFromBytes } from '@mortise/lorawan'
import { PEER_PROTOCOLS, type Route } from '../directory-ports.ts'
import { StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, oneOf, type Row, text } from './row.ts'

export class RouteTable {
  readonly #list: Statement
  readonly #insert: Statement
  readonly #remove: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare('SELECT * FROM route ORDER BY join_eui, bits')
    // A conflict may be its id, or its prefix, which leads to one server only.
    this.#insert = connection.prepare(
      `INSERT INTO route (organisation, route_id, join_eui, bits, url, protocol, certificate_pem, authority_pem,
         created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
    this.#remove = connection.prepare('DELETE FROM route WHERE route_id = ?')
  }

  list(): Route[] {
    return this.#list.all().map(toRoute)
  }

  /** @throws StorageError route_exists */
  add({ routeId, prefix, url, protocol, certificatePem, authorityPem, createdAt }: Route): void {
    const added = this.#insert.run(
      DEFAULT_ORGANISATION,
      routeId,
      eui64ToBytes(prefix.joinEui),
      prefix.bits,
      url,
      protocol,
      certificatePem,
      authorityPem,
      createdAt,
    )
    if (added === 0) throw new StorageError('route_exists', `JoinEUI ${prefix.joinEui}/${prefix.bits}`)
  }

  /** @throws StorageError row_missing */
  remove(routeId: Buffer): void {
    if (this.#remove.run(routeId) === 0) throw new StorageError('row_missing', `route ${routeId.toString('hex')}`)
  }
}

function toRoute(row: Row): Route {
  return {
    routeId: blob(row, 'route_id'),
    prefix: { joinEui: joinEuiFromBytes(blob(row, 'join_eui')), bits: integer(row, 'bits') },
    url: text(row, 'url'),
    protocol: oneOf(row, 'protocol', PEER_PROTOCOLS),
    certificatePem: text(row, 'certificate_pem'),
    authorityPem: text(row, 'authority_pem'),
    createdAt: integer(row, 'created_at'),
  }
}
