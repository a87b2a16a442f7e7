import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { ReceiptProgress, recordReceipts } from '../../src/audit/index.ts'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { newReceipt, temporaryDirectory } from '../storage/fixtures.ts'

test('a head is made durable after the receipts that came before it, never without them', async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'mortise.db')
  createDatabase(path)
  using storage = openDatabase(path)
  const sum = (sql: string): number => {
    const database = new DatabaseSync(path, { readOnly: true })
    const { total } = database.prepare(sql).get() ?? {}
    database.close()
    return Number(total)
  }
  const receipts = (): number => sum('SELECT SUM(1 + last_sequence - first_sequence) AS total FROM receipt')
  const heads = (): number => sum('SELECT COUNT(*) AS total FROM receipt_head')
  const chain = { hsmId: Buffer.alloc(8, 1), bootEpoch: 7, worker: 2 }
  const head = { ...chain, sequence: 2, hash: randomBytes(32), closing: false, signature: randomBytes(64) }
  const progress = new ReceiptProgress(() => undefined)
  // The receipt of an answer, and behind it a bundle, as they come over one socket.
  const answer = storage.joins.commit([{ receipt: newReceipt(1) }])
  const bundle = recordReceipts(storage, progress, { receipts: [newReceipt(2)], heads: [head] })
  expect([receipts(), heads()]).toEqual([0, 0])
  await answer
  expect([receipts(), heads()]).toEqual([2, 0])
  await bundle
  expect([receipts(), heads()]).toEqual([2, 1])
  progress.close()
})
