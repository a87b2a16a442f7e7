import { hash } from 'node:crypto'
import { HsmError } from '../errors.ts'
import { WireReader, WireWriter } from '../contract/wire.ts'

/** What a receipt says was done. Append, never renumber. */
export const RECEIPT_OPERATION = { answerJoin: 1, releaseAppSKey: 2, applyOrder: 3, answerRejoin: 4 } as const
export type ReceiptOperation = keyof typeof RECEIPT_OPERATION

/**
 * How the AppSKey left, if it did: wrapped for an application server, or, by the owner's word, to the network itself,
 * wrapped or in clear. Append, never renumber.
 */
export const APP_S_KEY_DELIVERY = { none: 0, wrapped: 1, networkWrapped: 2, networkClear: 3 } as const
export type AppSKeyDelivery = keyof typeof APP_S_KEY_DELIVERY

/** 0 = done. Refusals are reserved: they will be chained as sums by code. */
export const RECEIPT_RESULT_DONE = 0

export const RECEIPT_HASH_BYTES = 32
export const DEVICE_HASH_BYTES = 16
export const RECORD_DIGEST_BYTES = 16
const RECEIPT_VERSION = 1
const KEK_ID_BYTES = 16

/** One use of a key, in the chain of one worker. */
export interface Receipt {
  readonly hsmId: Buffer
  readonly bootEpoch: number
  readonly worker: number
  /** 1 for the first receipt of a chain; without gaps. */
  readonly sequence: number
  /** Milliseconds since 1970 by the clock of the HSM process. */
  readonly timeMs: number
  readonly operation: ReceiptOperation
  readonly result: number
  /** How an AppSKey left. */
  readonly appSKey: AppSKeyDelivery
  /** SHA-256(receipt salt of the device ‖ DevEUI big-endian), first 16 bytes; zeros where no device is concerned. */
  readonly deviceHash: Buffer
  /** SHA-256 of the device record, or of the order's text, first 16 bytes. */
  readonly recordDigest: Buffer
  /** KEK ids under which keys left. */
  readonly kekIds: readonly Buffer[]
  /** SHA-256 of the previous receipt of the chain; zeros before the first. */
  readonly previous: Buffer
}

export function encodeReceipt(receipt: Receipt): Buffer {
  const writer = new WireWriter(192)
    .uint8(RECEIPT_VERSION)
    .uint8(RECEIPT_OPERATION[receipt.operation])
    .uint8(receipt.result)
    .uint8(APP_S_KEY_DELIVERY[receipt.appSKey])
    .fixed(receipt.hsmId)
    .uint48(receipt.bootEpoch)
    .uint32(receipt.worker)
    .uint48(receipt.sequence)
    .uint48(receipt.timeMs)
    .fixed(receipt.deviceHash)
    .fixed(receipt.recordDigest)
    .uint8(receipt.kekIds.length)
  for (const kekId of receipt.kekIds) writer.fixed(kekId)
  return writer.fixed(receipt.previous).finish()
}

/** @throws HsmError frame_malformed */
export function decodeReceipt(bytes: Buffer): Receipt {
  const reader = new WireReader(bytes)
  if (reader.uint8() !== RECEIPT_VERSION) throw new HsmError('frame_malformed', 'receipt version')
  const operation = operationOf(reader.uint8())
  const receipt: Receipt = {
    operation,
    result: reader.uint8(),
    appSKey: deliveryOf(reader.uint8()),
    hsmId: reader.fixed(8),
    bootEpoch: reader.uint48(),
    worker: reader.uint32(),
    sequence: reader.uint48(),
    timeMs: reader.uint48(),
    deviceHash: reader.fixed(DEVICE_HASH_BYTES),
    recordDigest: reader.fixed(RECORD_DIGEST_BYTES),
    kekIds: reader.list(reader.uint8(), () => reader.fixed(KEK_ID_BYTES)),
    previous: reader.fixed(RECEIPT_HASH_BYTES),
  }
  reader.end()
  return receipt
}

/** Where a receipt stands in the chains of the HSM. */
export interface ReceiptPlace {
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
}

const BOOT_EPOCH_OFFSET = 12
const KEK_COUNT_OFFSET = 66
const SIZE_WITHOUT_KEKS = KEK_COUNT_OFFSET + 1 + RECEIPT_HASH_BYTES

/**
 * The place alone, for whoever keeps receipts by it: every join passes here.
 * @throws HsmError frame_malformed for what has not the version or the size of a receipt
 */
export function receiptPlace(bytes: Buffer): ReceiptPlace {
  const keks = bytes[KEK_COUNT_OFFSET] ?? 0
  if (bytes[0] !== RECEIPT_VERSION || bytes.length !== SIZE_WITHOUT_KEKS + KEK_ID_BYTES * keks)
    throw new HsmError('frame_malformed', 'receipt')
  return {
    bootEpoch: bytes.readUIntBE(BOOT_EPOCH_OFFSET, 6),
    worker: bytes.readUInt32BE(BOOT_EPOCH_OFFSET + 6),
    sequence: bytes.readUIntBE(BOOT_EPOCH_OFFSET + 10, 6),
  }
}

/**
 * Receipts that were put one behind another, as views.
 * @throws HsmError frame_malformed
 */
export function splitReceipts(bytes: Buffer): Buffer[] {
  const receipts: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = start + SIZE_WITHOUT_KEKS + KEK_ID_BYTES * (bytes[start + KEK_COUNT_OFFSET] ?? 0)
    const receipt = bytes.subarray(start, end)
    if (receipt[0] !== RECEIPT_VERSION || end > bytes.length) throw new HsmError('frame_malformed', 'receipts')
    receipts.push(receipt)
    start = end
  }
  return receipts
}

/** What the next receipt of the chain names as `previous`. */
export function receiptHash(receipt: Uint8Array): Buffer {
  return hash('sha256', receipt, 'buffer')
}

/** Who a receipt speaks of, for the owner who knows the salt, and for nobody else. */
export function deviceHash(receiptSalt: Uint8Array, devEui: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([receiptSalt, devEui]), 'buffer').subarray(0, DEVICE_HASH_BYTES)
}

export function recordDigest(record: Uint8Array): Buffer {
  return hash('sha256', record, 'buffer').subarray(0, RECORD_DIGEST_BYTES)
}

function operationOf(number: number): ReceiptOperation {
  const name = OPERATION_NAMES.get(number)
  if (name === undefined) throw new HsmError('frame_malformed', 'receipt operation')
  return name
}

function deliveryOf(number: number): AppSKeyDelivery {
  const name = DELIVERY_NAMES.get(number)
  if (name === undefined) throw new HsmError('frame_malformed', 'receipt AppSKey delivery')
  return name
}

const OPERATION_NAMES = namesOf<ReceiptOperation>(RECEIPT_OPERATION)
const DELIVERY_NAMES = namesOf<AppSKeyDelivery>(APP_S_KEY_DELIVERY)

function namesOf<Name extends string>(numbers: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries(numbers).map(([name, number]) => [number as number, name as Name]))
}
