export { ReceiptProgress } from './receipt-progress.ts'
export { recordReceipts } from './record-receipts.ts'
