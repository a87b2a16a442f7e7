import { decodeReceipt, type ReceiptAcknowledgement } from '@mortise/hsm'

/** Acknowledgements are worth a frame each: one per so many milliseconds and chain is enough. */
const ACKNOWLEDGE_MS = 50

interface Chain {
  readonly bootEpoch: number
  readonly worker: number
  /** Everything up to here is durable. */
  durable: number
  acknowledged: number
  /** Durable sequence numbers beyond a gap. */
  readonly ahead: Set<number>
}

/**
 * Knows up to where each worker's receipts are durable. A worker may forget a receipt only when all before it are safe
 * as well, although commits may overtake one another.
 */
export class ReceiptProgress {
  readonly #chains = new Map<string, Chain>()
  readonly #acknowledge: (acknowledged: ReceiptAcknowledgement) => void
  #timer: NodeJS.Timeout | undefined

  constructor(acknowledge: (acknowledged: ReceiptAcknowledgement) => void) {
    this.#acknowledge = acknowledge
  }

  /** A receipt has been committed. */
  committed(receipt: Buffer): void {
    const { bootEpoch, worker, sequence } = decodeReceipt(receipt)
    const chain = this.#chain(bootEpoch, worker, sequence - 1)
    if (sequence > chain.durable) chain.ahead.add(sequence)
    while (chain.ahead.delete(chain.durable + 1)) chain.durable += 1
    this.#timer ??= setTimeout(() => {
      this.#flush()
    }, ACKNOWLEDGE_MS)
  }

  /** A closed chain's head has been committed: its worker is gone and nothing will follow. */
  closed(bootEpoch: number, worker: number, sequence: number): void {
    this.#chains.delete(`${bootEpoch}/${worker}`)
    this.#acknowledge({ bootEpoch, worker, sequence })
  }

  close(): void {
    this.#flush()
  }

  /** The first receipt seen of a chain is the oldest that its worker still keeps: it sends those before any other. */
  #chain(bootEpoch: number, worker: number, durable: number): Chain {
    const name = `${bootEpoch}/${worker}`
    const known = this.#chains.get(name)
    if (known !== undefined) return known
    const chain = { bootEpoch, worker, durable, acknowledged: durable, ahead: new Set<number>() }
    this.#chains.set(name, chain)
    return chain
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const chain of this.#chains.values()) {
      if (chain.durable === chain.acknowledged) continue
      chain.acknowledged = chain.durable
      this.#acknowledge({ bootEpoch: chain.bootEpoch, worker: chain.worker, sequence: chain.durable })
    }
  }
}
