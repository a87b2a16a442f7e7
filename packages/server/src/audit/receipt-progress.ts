import { type ReceiptAcknowledgement, receiptPlace } from '@mortise/hsm'

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
  /** One for each worker, and those of dead ones until they are closed: too few for a map to pay. */
  readonly #chains: Chain[] = []
  readonly #acknowledge: (acknowledged: ReceiptAcknowledgement) => void
  #timer: NodeJS.Timeout | undefined

  constructor(acknowledge: (acknowledged: ReceiptAcknowledgement) => void) {
    this.#acknowledge = acknowledge
  }

  /** A receipt has been committed. */
  committed(receipt: Buffer): void {
    const { bootEpoch, worker, sequence } = receiptPlace(receipt)
    const chain = this.#chain(bootEpoch, worker, sequence - 1)
    advance(chain, sequence)
    this.#timer ??= setTimeout(() => {
      this.#flush()
    }, ACKNOWLEDGE_MS)
  }

  /** A closed chain's head has been committed: its worker is gone and nothing will follow. */
  closed(bootEpoch: number, worker: number, sequence: number): void {
    const index = this.#chains.findIndex((chain) => isNamed(chain, bootEpoch, worker))
    if (index !== -1) this.#chains.splice(index, 1)
    this.#acknowledge({ bootEpoch, worker, sequence })
  }

  close(): void {
    this.#flush()
  }

  /** The first receipt seen of a chain is the oldest that its worker still keeps: it sends those before any other. */
  #chain(bootEpoch: number, worker: number, durable: number): Chain {
    for (const known of this.#chains) if (isNamed(known, bootEpoch, worker)) return known
    const chain = { bootEpoch, worker, durable, acknowledged: durable, ahead: new Set<number>() }
    this.#chains.push(chain)
    return chain
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const chain of this.#chains) {
      if (chain.durable === chain.acknowledged) continue
      chain.acknowledged = chain.durable
      this.#acknowledge({ bootEpoch: chain.bootEpoch, worker: chain.worker, sequence: chain.durable })
    }
  }
}

function isNamed(chain: Chain, bootEpoch: number, worker: number): boolean {
  return chain.worker === worker && chain.bootEpoch === bootEpoch
}

/** Notes one durable receipt; those of a run arrive in order nearly always. */
function advance(chain: Chain, sequence: number): void {
  if (sequence === chain.durable + 1) chain.durable = sequence
  else if (sequence > chain.durable) chain.ahead.add(sequence)
  if (chain.ahead.size > 0) while (chain.ahead.delete(chain.durable + 1)) chain.durable += 1
}
