import type { ReceiptHeadRow } from '../ports.ts'
import { type ReceiptKey, receiptKey } from '../receipt-key.ts'
import type { Connection, Statement } from './connection.ts'

/** A receipt with its place in the chains, read before a transaction begins so that a malformed one fails alone. */
export interface KeyedReceipt extends ReceiptKey {
  readonly body: Buffer
}

/** @throws HsmError frame_malformed */
export function keyedReceipt(body: Buffer): KeyedReceipt {
  return { ...receiptKey(body), body }
}

/** Receipts and heads of the HSM's chains. A worker sends again what was not acknowledged: what is there stays. */
export class ReceiptTable {
  readonly #insertReceipt: Statement
  readonly #insertHead: Statement

  constructor(connection: Connection) {
    this.#insertReceipt = connection.prepare(
      'INSERT INTO receipt (boot_epoch, worker, sequence, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    )
    this.#insertHead = connection.prepare(
      `INSERT INTO receipt_head (boot_epoch, worker, sequence, closing, hash, signature) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    )
  }

  addReceipt({ bootEpoch, worker, sequence, body }: KeyedReceipt): void {
    this.#insertReceipt.run(bootEpoch, worker, sequence, body)
  }

  addHead(head: ReceiptHeadRow): void {
    this.#insertHead.run(head.bootEpoch, head.worker, head.sequence, head.closing ? 1 : 0, head.hash, head.signature)
  }
}
