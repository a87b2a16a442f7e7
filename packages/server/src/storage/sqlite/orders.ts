import {
  MAX_PAGE_ROWS,
  type NewOrder,
  ORDER_STATES,
  type OrderState,
  StorageError,
  type StoredOrder,
} from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, oneOf, optional, type Row, text } from './row.ts'

const SIGNER_BYTES = 16
const SIGNATURE_BYTES = 64

export class OrderTable {
  readonly #find: Statement
  readonly #listOldest: Statement
  readonly #listNewest: Statement
  readonly #highestSequence: Statement
  readonly #insert: Statement
  readonly #settle: Statement

  constructor(connection: Connection) {
    this.#find = connection.prepare('SELECT * FROM stored_order WHERE id = ?')
    this.#listOldest = connection.prepare('SELECT * FROM stored_order WHERE state = ? ORDER BY id LIMIT ?')
    this.#listNewest = connection.prepare('SELECT * FROM stored_order WHERE state = ? ORDER BY id DESC LIMIT ?')
    this.#highestSequence = connection.prepare('SELECT MAX(sequence) AS highest FROM stored_order WHERE signer = ?')
    this.#insert = connection.prepare(
      `INSERT INTO stored_order (organisation, signer, sequence, state, submitted_at, signatures, certificates, text,
         envelope)
       VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?) RETURNING *`,
    )
    this.#settle = connection.prepare(
      `UPDATE stored_order SET state = ?, code = ?, detail = ?, settled_at = ?, envelope = NULL
       WHERE id = ? AND state = 'waiting'`,
    )
  }

  find(orderId: number): StoredOrder | undefined {
    const row = this.#find.get(orderId)
    return row && toOrder(row)
  }

  /** Waiting orders in the order in which they are to be adopted; settled ones newest first. */
  list(state: OrderState, limit: number): StoredOrder[] {
    if (limit > MAX_PAGE_ROWS) throw new RangeError(`a page has at most ${MAX_PAGE_ROWS} rows`)
    return (state === 'waiting' ? this.#listOldest : this.#listNewest).all(state, limit).map(toOrder)
  }

  highestSequence(signer: Buffer): number {
    const row = this.#highestSequence.get(signer)
    return (row && optional(row, 'highest', integer)) ?? 0
  }

  /** Call inside a transaction. @throws StorageError order_sequence_taken */
  submit(order: NewOrder): StoredOrder {
    // The HSM refuses a signer's sequence number that does not rise, so such an order would only wait to be refused.
    const highest = this.highestSequence(order.signer)
    if (order.sequence <= highest)
      throw new StorageError('order_sequence_taken', `${order.sequence} is not above ${highest}`)
    const row = this.#insert.get(
      DEFAULT_ORGANISATION,
      order.signer,
      order.sequence,
      Date.now(),
      Buffer.concat(order.signatures.flatMap(({ signer, signature }) => [signer, signature])),
      JSON.stringify(order.certificates),
      order.text,
      order.envelope ?? null,
    )
    if (row === undefined) throw new StorageError('database_failed', 'no order was made')
    return toOrder(row)
  }

  /** Deletes the envelope with the same statement. @throws StorageError row_missing */
  settle(orderId: number, outcome: SettledAs): void {
    const { code, detail } = outcome.state === 'refused' ? outcome : { code: undefined, detail: undefined }
    if (this.#settle.run(outcome.state, code ?? null, detail ?? null, Date.now(), orderId) === 0)
      throw new StorageError('row_missing', `no order ${orderId} waits`)
  }
}

type SettledAs =
  | { readonly state: 'adopted' }
  | { readonly state: 'refused'; readonly code: string; readonly detail: string | undefined }

function toOrder(row: Row): StoredOrder {
  return {
    orderId: integer(row, 'id'),
    signer: blob(row, 'signer'),
    sequence: integer(row, 'sequence'),
    text: blob(row, 'text'),
    signatures: splitSignatures(blob(row, 'signatures')),
    envelope: optional(row, 'envelope', blob),
    certificates: parseCertificates(text(row, 'certificates')),
    state: oneOf(row, 'state', ORDER_STATES),
    code: optional(row, 'code', text),
    detail: optional(row, 'detail', text),
    submittedAt: integer(row, 'submitted_at'),
    settledAt: optional(row, 'settled_at', integer),
  }
}

function splitSignatures(bytes: Buffer): StoredOrder['signatures'] {
  const size = SIGNER_BYTES + SIGNATURE_BYTES
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => ({
    signer: bytes.subarray(index * size, index * size + SIGNER_BYTES),
    signature: bytes.subarray(index * size + SIGNER_BYTES, (index + 1) * size),
  }))
}

function parseCertificates(json: string): string[] {
  const value: unknown = JSON.parse(json)
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw new StorageError('database_corrupt', 'column certificates')
  return value
}
