export { receiptPlace as receiptKey, type ReceiptPlace as ReceiptKey } from '@mortise/hsm'
