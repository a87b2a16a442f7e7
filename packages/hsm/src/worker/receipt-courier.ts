import { FRAME, type FrameType } from '../contract/frames.ts'
import { HsmError } from '../errors.ts'
import type { ReceiptChain } from '../receipts/chain.ts'
import {
  encodeReceiptBundle,
  type ReceiptAcknowledgement,
  type ReceiptBundle,
  type ReceiptHead,
  receiptHeadText,
} from '../receipts/head.ts'
import type { ReceiptPipeWriter } from '../receipts/receipt-pipe.ts'
import { UnacknowledgedReceipts } from '../receipts/unacknowledged.ts'
import { type OrphanedChain, toBuffer } from './messages.ts'

/** A connection that can carry receipts to the server. */
export interface ReceiptCarrier {
  push(type: FrameType, payload: Buffer): void
}

/** Sees to it that every receipt reaches the server's database, and that heads are signed. */
export class ReceiptCourier {
  readonly #pipe: ReceiptPipeWriter
  readonly #own = new UnacknowledgedReceipts()
  readonly #orphans = new Map<string, ReceiptBundle>()
  readonly #carriers = new Set<ReceiptCarrier>()
  readonly #sign: (message: Buffer) => Buffer
  #chain: ReceiptChain | undefined
  #signedUpTo = 0
  #closingAcknowledged: (() => void) | undefined

  constructor(pipe: ReceiptPipeWriter, sign: (message: Buffer) => Buffer) {
    this.#pipe = pipe
    this.#sign = sign
  }

  /** The worker's own chain, whose heads this courier signs. */
  follow(chain: ReceiptChain): void {
    this.#chain = chain
  }

  /** Keeps a receipt of the worker's own chain until its commit is acknowledged. */
  keep(receipt: Buffer): void {
    this.#own.add(receipt)
    this.#pipe.receipt(receipt)
  }

  /** @throws HsmError receipts_backlog_full: nothing is done that could not be accounted for */
  refuseWhenFull(): void {
    if (this.#own.full) throw new HsmError('receipts_backlog_full')
  }

  flush(): void {
    this.#pipe.flush()
  }

  /** A new connection gets everything that is not acknowledged: the server knows what it has. */
  connected(carrier: ReceiptCarrier): void {
    this.#carriers.add(carrier)
    this.#send(carrier, { receipts: this.#own.receipts, heads: [] })
    for (const bundle of this.#orphans.values()) this.#send(carrier, bundle)
  }

  disconnected(carrier: ReceiptCarrier): void {
    this.#carriers.delete(carrier)
  }

  acknowledged(acknowledgement: ReceiptAcknowledgement): void {
    if (this.#chain?.bootEpoch === acknowledgement.bootEpoch && this.#chain.worker === acknowledgement.worker) {
      this.#own.acknowledge(acknowledgement.sequence)
      if (acknowledgement.sequence >= this.#chain.sequence) this.#closingAcknowledged?.()
    } else {
      this.#orphans.delete(chainName(acknowledgement))
    }
    this.#pipe.acknowledgement(acknowledgement)
  }

  /** Closes the chain of a dead worker and hands it over. */
  adopt(orphan: OrphanedChain, hsmId: Buffer): void {
    const { bootEpoch, worker, sequence } = orphan
    const head = { hsmId, bootEpoch, worker, sequence, hash: toBuffer(orphan.hash), closing: true }
    const bundle = {
      receipts: orphan.receipts.map(toBuffer),
      heads: [{ ...head, signature: this.#sign(receiptHeadText(head)) }],
    }
    this.#orphans.set(chainName(orphan), bundle)
    for (const carrier of this.#carriers) {
      this.#send(carrier, bundle)
      return
    }
  }

  /** Signs the head of the own chain if it has grown since the last one. */
  signHead(): void {
    const chain = this.#chain
    if (chain === undefined || chain.sequence === this.#signedUpTo) return
    this.#signedUpTo = chain.sequence
    this.#broadcastOnce(chain.head(false))
  }

  /** Signs the closing head; resolves when the server has it, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    const chain = this.#chain
    if (chain === undefined || this.#carriers.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#closingAcknowledged = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#broadcastOnce(chain.head(true))
    })
  }

  #broadcastOnce(head: ReceiptHead): void {
    for (const carrier of this.#carriers) {
      this.#send(carrier, { receipts: [], heads: [head] })
      return
    }
  }

  #send(carrier: ReceiptCarrier, bundle: ReceiptBundle): void {
    if (bundle.receipts.length === 0 && bundle.heads.length === 0) return
    carrier.push(FRAME.receipts, encodeReceiptBundle(bundle))
  }
}

function chainName(chain: { bootEpoch: number; worker: number }): string {
  return `${chain.bootEpoch}/${chain.worker}`
}
