import type { ReceiptBundle } from '@mortise/hsm'
import type { AdministrationWriter } from '../storage/index.ts'
import type { ReceiptProgress } from './receipt-progress.ts'

/** Makes receipts and heads durable that no answer carried, then lets their worker forget them. */
export async function recordReceipts(
  storage: Pick<AdministrationWriter, 'recordReceipts'>,
  progress: ReceiptProgress,
  bundle: ReceiptBundle,
): Promise<void> {
  await storage.recordReceipts(bundle.receipts, bundle.heads)
  for (const receipt of bundle.receipts) progress.committed(receipt)
  for (const head of bundle.heads) if (head.closing) progress.closed(head.bootEpoch, head.worker, head.sequence)
}
