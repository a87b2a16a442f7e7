import { type ChainEnd, type ChainName, chainKey, decodeChainEnds, encodeChainEnds } from '../receipts/chain-end.ts'
import type { SealedStore } from './sealed-store.ts'

/** With about 150 bytes each, some twenty megabytes. */
const MAX_ORPHANED_RECEIPTS = 131_072
const NO_CHAINS = encodeChainEnds([])

/** Ends of receipt chains whose worker is gone and that the server does not have yet. */
export class OrphanedChains {
  readonly #chains = new Map<string, ChainEnd>()
  readonly #log: (line: string) => void

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  list(): ChainEnd[] {
    return [...this.#chains.values()]
  }

  add(chain: ChainEnd): void {
    this.#chains.set(chainKey(chain), chain)
    this.#bound()
  }

  /** Forgets a chain that the server has. Whether it was here, and was the last one. */
  delivered(chain: ChainName): boolean {
    return this.#chains.delete(chainKey(chain)) && this.#chains.size === 0
  }

  /** Takes in what an orderly stop left behind. Unreadable ends are put aside: they must not keep the HSM from opening. */
  read(store: SealedStore): void {
    try {
      for (const end of decodeChainEnds(store.readReceipts() ?? NO_CHAINS)) this.add(end)
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown'
      this.#log(`receipts of the last run cannot be read (${reason}): see ${store.setReceiptsAside()}`)
    }
  }

  /** What no server was there to take waits for the next start. */
  keep(store: SealedStore): void {
    try {
      store.writeReceipts(this.#chains.size === 0 ? undefined : encodeChainEnds(this.list()))
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown'
      this.#log(`receipts were lost, which shows as chains without an end: ${reason}`)
    }
  }

  /** A server that takes no receipts must not fill the memory: the ends of chains stay, and show what is missing. */
  #bound(): void {
    let count = 0
    for (const chain of this.#chains.values()) count += chain.receipts.length
    for (const [key, chain] of this.#chains) {
      if (count <= MAX_ORPHANED_RECEIPTS) return
      if (chain.receipts.length === 0) continue
      this.#log(`${chain.receipts.length} receipts of worker ${chain.worker} are dropped: no server took them`)
      this.#chains.set(key, { ...chain, receipts: [] })
      count -= chain.receipts.length
    }
  }
}
