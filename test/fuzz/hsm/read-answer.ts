import { type Cursor, readAll } from './cursor.ts'

/** What the answers of the trust boundary hold, read by ADR 002 alone. Every function gives undefined for other bytes. */

export interface Welcome {
  readonly bootEpoch: number
  readonly worker: number
  readonly epoch: number
}

export function readWelcome(payload: Buffer): Welcome | undefined {
  return readAll(payload, (cursor) => {
    cursor.take(8 + 1)
    const welcome = { epoch: cursor.number(6), bootEpoch: cursor.number(6), worker: cursor.number(4) }
    cursor.number(2)
    for (let key = 0; key < 3; key++) cursor.bytes()
    cursor.number(6)
    return welcome
  })
}

export interface JoinAnswered {
  readonly accept: Buffer
  readonly networkKeys: readonly Buffer[]
  readonly appSKey: Buffer | undefined
  readonly sessionKeyId: Buffer
  readonly sessionRecord: Buffer
  readonly receipt: Buffer
}

export function readJoinAnswered(payload: Buffer): JoinAnswered | undefined {
  return readAll(payload, (cursor) => ({
    accept: cursor.bytes(),
    networkKeys: cursor.many(cursor.number(1), () => cursor.bytes()),
    appSKey: cursor.optional(),
    sessionKeyId: cursor.take(8),
    sessionRecord: cursor.bytes(),
    receipt: cursor.bytes(),
  }))
}

export function readReleased(payload: Buffer): { readonly appSKey: Buffer; readonly receipt: Buffer } | undefined {
  return readAll(payload, (cursor) => ({ appSKey: cursor.bytes(), receipt: cursor.bytes() }))
}

export interface OrderApplied {
  readonly changes: readonly { readonly kind: number; readonly id: Buffer; readonly record: Buffer | undefined }[]
  readonly epoch: number
  readonly receipt: Buffer
}

export function readOrderApplied(payload: Buffer): OrderApplied | undefined {
  return readAll(payload, (cursor) => ({
    changes: cursor.many(cursor.number(2), () => ({
      kind: cursor.number(1),
      id: cursor.take(16),
      record: cursor.optional(),
    })),
    epoch: cursor.number(6),
    receipt: cursor.bytes(),
  }))
}

export function readRefusal(payload: Buffer): { readonly number: number; readonly detail: string } | undefined {
  return readAll(payload, (cursor) => ({ number: cursor.number(1), detail: cursor.bytes().toString() }))
}

/** The receipts of a frame that nobody asked for. */
export function readReceipts(payload: Buffer): readonly Buffer[] | undefined {
  return readAll(payload, (cursor) => {
    const receipts = cursor.many(cursor.number(4), () => cursor.bytes())
    cursor.many(cursor.number(2), () => readHead(cursor))
    return receipts
  })
}

/** Which receipt of which chain this is. */
export interface ReceiptName {
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
}

export function readReceipt(receipt: Buffer): ReceiptName | undefined {
  return readAll(receipt, (cursor) => {
    cursor.take(4 + 8)
    const name = { bootEpoch: cursor.number(6), worker: cursor.number(4), sequence: cursor.number(6) }
    cursor.take(6 + 16 + 16)
    cursor.many(cursor.number(1), () => cursor.take(16))
    cursor.take(32)
    return name
  })
}

function readHead(cursor: Cursor): Buffer {
  return cursor.take(8 + 6 + 4 + 6 + 32 + 1 + 64)
}
