import type { ReceiptBundle } from '@mortise/hsm'
import type { Storage } from '../storage/index.ts'
import type { ReceiptProgress } from './receipt-progress.ts'

/**
 * Makes receipts and heads durable that no answer carried, then lets their worker forget them. They go through the joins'
 * queue, and the heads after it, in the order in which the worker sent them: whenever the power fails, the database has
 * the beginning of each chain, and no head beyond its end.
 */
export async function recordReceipts(
  storage: Pick<Storage, 'joins' | 'administration'>,
  progress: ReceiptProgress,
  bundle: ReceiptBundle,
): Promise<void> {
  await storage.joins.commit(bundle.receipts.map((receipt) => ({ receipt })))
  if (bundle.heads.length > 0) await storage.administration.recordHeads(bundle.heads)
  for (const receipt of bundle.receipts) progress.committed(receipt)
  for (const head of bundle.heads) if (head.closing) progress.closed(head.bootEpoch, head.worker, head.sequence)
}
