import { createPublicKey, verify } from 'node:crypto'
import { WireReader, WireWriter } from '../contract/wire.ts'
import { RECEIPT_HASH_BYTES } from './receipt.ts'

/** A signed statement that a chain reached this receipt; `closing` says that nothing follows. */
export interface ReceiptHead {
  readonly hsmId: Buffer
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
  /** SHA-256 of the receipt with that sequence number; zeros for a chain without receipts. */
  readonly hash: Buffer
  readonly closing: boolean
  /** Ed25519 by the receipt key, 64 bytes. */
  readonly signature: Buffer
}

const DOMAIN = Buffer.from('mortise receipt head 1\n', 'ascii')

/** The bytes that a head's signature covers. */
export function receiptHeadText(head: Omit<ReceiptHead, 'signature'>): Buffer {
  return new WireWriter(128)
    .fixed(DOMAIN)
    .fixed(head.hsmId)
    .uint48(head.bootEpoch)
    .uint32(head.worker)
    .uint48(head.sequence)
    .fixed(head.hash)
    .uint8(head.closing ? 1 : 0)
    .finish()
}

/** Whether the receipt key (SPKI, DER) signed this head. */
export function verifyReceiptHead(head: ReceiptHead, receiptPublicKey: Buffer): boolean {
  const key = createPublicKey({ key: receiptPublicKey, format: 'der', type: 'spki' })
  return verify(null, receiptHeadText(head), key, head.signature)
}

/** A frame of receipts that no answer carried, or that were not acknowledged, and of heads. */
export interface ReceiptBundle {
  readonly receipts: readonly Buffer[]
  readonly heads: readonly ReceiptHead[]
}

export function encodeReceiptBundle(bundle: ReceiptBundle): Buffer {
  const writer = new WireWriter(1024).uint32(bundle.receipts.length)
  for (const receipt of bundle.receipts) writer.bytes(receipt)
  writer.uint16(bundle.heads.length)
  for (const head of bundle.heads)
    writer
      .fixed(head.hsmId)
      .uint48(head.bootEpoch)
      .uint32(head.worker)
      .uint48(head.sequence)
      .fixed(head.hash)
      .uint8(head.closing ? 1 : 0)
      .fixed(head.signature)
  return writer.finish()
}

export function decodeReceiptBundle(payload: Buffer): ReceiptBundle {
  const reader = new WireReader(payload)
  const receipts = reader.list(reader.uint32(), () => reader.bytes())
  const heads = reader.list(
    reader.uint16(),
    (): ReceiptHead => ({
      hsmId: reader.fixed(8),
      bootEpoch: reader.uint48(),
      worker: reader.uint32(),
      sequence: reader.uint48(),
      hash: reader.fixed(RECEIPT_HASH_BYTES),
      closing: reader.flag(),
      signature: reader.fixed(64),
    }),
  )
  reader.end()
  return { receipts, heads }
}

/** Where a chain has been committed up to. */
export interface ReceiptAcknowledgement {
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
}

export function encodeReceiptAcknowledgement(acknowledged: ReceiptAcknowledgement): Buffer {
  return new WireWriter(16)
    .uint48(acknowledged.bootEpoch)
    .uint32(acknowledged.worker)
    .uint48(acknowledged.sequence)
    .finish()
}

export function decodeReceiptAcknowledgement(payload: Buffer): ReceiptAcknowledgement {
  const reader = new WireReader(payload)
  const acknowledged = { bootEpoch: reader.uint48(), worker: reader.uint32(), sequence: reader.uint48() }
  reader.end()
  return acknowledged
}
