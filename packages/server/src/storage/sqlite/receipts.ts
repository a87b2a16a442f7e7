import { receiptPlace, type ReceiptPlace, splitReceipts } from '@mortise/hsm'
import type { ReceiptHeadRow } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { blob } from './row.ts'

/** A worker keeps no more receipts than this unacknowledged, so that those of one commit are not further apart. */
const MAX_ROW_SPAN = 16_384

/** A receipt with its place in the chains, read before a transaction begins so that a malformed one fails alone. */
export interface KeyedReceipt extends ReceiptPlace {
  readonly body: Buffer
}

/** @throws HsmError frame_malformed */
export function keyedReceipt(body: Buffer): KeyedReceipt {
  const { bootEpoch, worker, sequence } = receiptPlace(body)
  return { bootEpoch, worker, sequence, body }
}

/** Receipts and heads of the HSM's chains. */
export class ReceiptTable {
  readonly #insert: Statement
  readonly #around: Statement
  readonly #insertHead: Statement

  constructor(connection: Connection) {
    this.#insert = connection.prepare(
      'INSERT INTO receipt (boot_epoch, worker, first_sequence, last_sequence, bodies) VALUES (?, ?, ?, ?, ?)',
    )
    this.#around = connection.prepare(
      `SELECT bodies FROM receipt WHERE boot_epoch = ?1 AND worker = ?2
         AND first_sequence BETWEEN ?3 - ${MAX_ROW_SPAN} AND ?3 ORDER BY first_sequence DESC LIMIT ?4`,
    )
    this.#insertHead = connection.prepare(
      `INSERT INTO receipt_head (boot_epoch, worker, sequence, closing, hash, signature) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    )
  }

  /** One row for each chain: its index costs once a commit, and not once a receipt. */
  addReceipts(receipts: readonly KeyedReceipt[]): void {
    for (const chain of byChain(receipts)) {
      const [first] = chain
      const last = chain.at(-1)
      if (first === undefined || last === undefined) continue
      const bodies = Buffer.concat(chain.map(({ body }) => body))
      this.#insert.run(first.bootEpoch, first.worker, first.sequence, last.sequence, bodies)
    }
  }

  has(receipt: ReceiptPlace): boolean {
    // Nearly always in the first row that may have it.
    return this.#isAmong(receipt, 1) || this.#isAmong(receipt, MAX_ROW_SPAN)
  }

  addHead(head: ReceiptHeadRow): void {
    this.#insertHead.run(head.bootEpoch, head.worker, head.sequence, head.closing ? 1 : 0, head.hash, head.signature)
  }

  #isAmong({ bootEpoch, worker, sequence }: ReceiptPlace, rows: number): boolean {
    return this.#around
      .all(bootEpoch, worker, sequence, rows)
      .some((row) => splitReceipts(blob(row, 'bodies')).some((body) => receiptPlace(body).sequence === sequence))
  }
}

/** Ascending within each chain. Answers of several workers share a commit. */
function byChain(receipts: readonly KeyedReceipt[]): KeyedReceipt[][] {
  const sorted = [...receipts].sort(
    (a, b) => a.bootEpoch - b.bootEpoch || a.worker - b.worker || a.sequence - b.sequence,
  )
  const chains: KeyedReceipt[][] = []
  for (const receipt of sorted) {
    const chain = chains.at(-1)
    const [first] = chain ?? []
    if (chain && first?.worker === receipt.worker && first.bootEpoch === receipt.bootEpoch) chain.push(receipt)
    else chains.push([receipt])
  }
  return chains
}
