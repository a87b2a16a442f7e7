import { decodeReceipt } from '@mortise/hsm'

/** Where a receipt stands in the chains of the HSM: all that the database reads of it. */
export interface ReceiptKey {
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
}

/** @throws HsmError frame_malformed */
export function receiptKey(receipt: Buffer): ReceiptKey {
  const { bootEpoch, worker, sequence } = decodeReceipt(receipt)
  return { bootEpoch, worker, sequence }
}
