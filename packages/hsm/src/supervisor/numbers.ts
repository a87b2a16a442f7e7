import type { SealedStore } from './sealed-store.ts'

/**
 * Names a boot: milliseconds since 1970, made to rise, durable before it is used. A chain of receipts is named by its
 * boot, which must never come twice: above the last, and above those of a life of the store that a roll-back has made it
 * forget. The epoch stays: restarts are no way past the roll-back guard.
 */
export function nameBoot(store: SealedStore): number {
  const bootEpoch = Math.max(store.state.lastBoot + 1, Date.now())
  store.write({ ...store.state, lastBoot: bootEpoch })
  return bootEpoch
}

/** The number of the next worker of all, durable before it is used. */
export function numberWorker(store: SealedStore): number {
  const { lastWorker } = store.state
  store.write({ ...store.state, lastWorker: lastWorker + 1 })
  return lastWorker + 1
}
