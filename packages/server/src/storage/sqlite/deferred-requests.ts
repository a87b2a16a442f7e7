import type { DeferredRequest } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer } from './row.ts'

/** Requests that were taken and are answered by a message of their own. */
export class DeferredRequestTable {
  readonly #insert: Statement
  readonly #remove: Statement
  readonly #list: Statement

  constructor(connection: Connection) {
    this.#insert = connection.prepare(
      'INSERT INTO deferred_request (organisation, peer_id, received_at, body) VALUES (?, ?, ?, ?) RETURNING id',
    )
    this.#remove = connection.prepare('DELETE FROM deferred_request WHERE id = ?')
    this.#list = connection.prepare('SELECT id, peer_id, received_at, body FROM deferred_request ORDER BY id')
  }

  /** Its number. */
  add({ peerId, receivedAt, body }: Omit<DeferredRequest, 'requestId'>): number {
    const row = this.#insert.get(DEFAULT_ORGANISATION, peerId, receivedAt, body)
    return row === undefined ? 0 : integer(row, 'id')
  }

  remove(requestId: number): void {
    this.#remove.run(requestId)
  }

  /** Oldest first. */
  list(): DeferredRequest[] {
    return this.#list.all().map((row) => ({
      requestId: integer(row, 'id'),
      peerId: blob(row, 'peer_id'),
      receivedAt: integer(row, 'received_at'),
      body: blob(row, 'body'),
    }))
  }
}
