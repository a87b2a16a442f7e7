import { HsmError } from '../errors.ts'
import {
  type AppSKeyDelivery,
  deviceHash,
  encodeReceipt,
  RECEIPT_HASH_BYTES,
  RECEIPT_RESULT_DONE,
  type ReceiptOperation,
  receiptHash,
  recordDigest,
} from './receipt.ts'
import { type ReceiptHead, receiptHeadText } from './head.ts'

/** What an operation says about itself; the chain adds the rest. */
export interface ReceiptEntry {
  readonly operation: ReceiptOperation
  /** The device record or the order's text. */
  readonly subject: Buffer
  readonly device: { readonly receiptSalt: Buffer; readonly devEui: Uint8Array } | undefined
  readonly kekIds: readonly Buffer[]
  readonly appSKey: AppSKeyDelivery
}

const NO_DEVICE = Buffer.alloc(16)

/** The receipts of one worker of one boot: gapless, each naming the hash of the one before. */
export class ReceiptChain {
  readonly hsmId: Buffer
  readonly bootEpoch: number
  readonly worker: number
  readonly #sign: (message: Buffer) => Buffer
  readonly #keep: (receipt: Buffer) => void
  #sequence = 0
  #closed = false
  #hash: Buffer = Buffer.alloc(RECEIPT_HASH_BYTES)

  /** `keep` gets every receipt before its answer can leave; `sign` is the token's receipt key. */
  constructor(
    chain: { hsmId: Buffer; bootEpoch: number; worker: number },
    sign: (message: Buffer) => Buffer,
    keep: (receipt: Buffer) => void,
  ) {
    this.hsmId = chain.hsmId
    this.bootEpoch = chain.bootEpoch
    this.worker = chain.worker
    this.#sign = sign
    this.#keep = keep
  }

  get sequence(): number {
    return this.#sequence
  }

  /** @throws HsmError busy: the closing head has been signed, and nothing follows it */
  append(entry: ReceiptEntry): Buffer {
    if (this.#closed) throw new HsmError('busy', 'the worker is ending')
    const receipt = encodeReceipt({
      hsmId: this.hsmId,
      bootEpoch: this.bootEpoch,
      worker: this.worker,
      sequence: this.#sequence + 1,
      timeMs: Date.now(),
      operation: entry.operation,
      result: RECEIPT_RESULT_DONE,
      appSKey: entry.appSKey,
      deviceHash: entry.device ? deviceHash(entry.device.receiptSalt, entry.device.devEui) : NO_DEVICE,
      recordDigest: recordDigest(entry.subject),
      kekIds: entry.kekIds,
      previous: this.#hash,
    })
    this.#sequence += 1
    this.#hash = receiptHash(receipt)
    this.#keep(receipt)
    return receipt
  }

  /** The signed head as of now. A closing one is the end of the chain. */
  head(closing: boolean): ReceiptHead {
    const { hsmId, bootEpoch, worker } = this
    const head = { hsmId, bootEpoch, worker, sequence: this.#sequence, hash: this.#hash, closing }
    this.#closed ||= closing
    return { ...head, signature: this.#sign(receiptHeadText(head)) }
  }
}
