/** A delivery that failed. */
interface Retry {
  readonly seq: number
  readonly attempts: number
  dueAtMs: number
}

const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 60_000
/** After so many failures it is the message's own fault, as far as can be seen: it does not hold up others. */
export const OWN_FAULT = 3

/**
 * Deliveries that failed and are to be tried again. A receiver that is down fails all of them, and then they go in their
 * order as soon as it is back; a message that fails again and again beside others waits longer each time.
 */
export class Retries {
  #list: Retry[] = []

  get size(): number {
    return this.#list.length
  }

  /** Milliseconds of the earliest one that is due. */
  get dueAtMs(): number | undefined {
    return this.#list.reduce<number | undefined>((first, { dueAtMs }) => Math.min(first ?? dueAtMs, dueAtMs), undefined)
  }

  add(seq: number, attempts: number, nowMs: number): void {
    const dueAtMs = nowMs + Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
    this.#list.push({ seq, attempts, dueAtMs })
  }

  /** The earliest event that is due. */
  takeDue(nowMs: number): Retry | undefined {
    return this.#take(this.#list.filter(({ dueAtMs }) => dueAtMs <= nowMs))
  }

  /** The earliest event that has not failed often: it shows whether a receiver is back. */
  takeProbe(): Retry | undefined {
    return this.#take(this.#list.filter(({ attempts }) => attempts < OWN_FAULT))
  }

  /** The receiver is back. */
  allDue(): void {
    for (const retry of this.#list) if (retry.attempts < OWN_FAULT) retry.dueAtMs = 0
  }

  #take(candidates: readonly Retry[]): Retry | undefined {
    const [any] = candidates
    if (any === undefined) return undefined
    const first = candidates.reduce((one, other) => (other.seq < one.seq ? other : one), any)
    this.#list = this.#list.filter((retry) => retry !== first)
    return first
  }
}
