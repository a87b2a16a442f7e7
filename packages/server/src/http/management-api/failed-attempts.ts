const WINDOW_MS = 60_000
const MAX_FAILURES = 30
const MAX_ADDRESSES = 4096

interface Failures {
  readonly since: number
  count: number
}

/**
 * Counts failed authentications by remote address, so that somebody who tries tokens is told to stop. Tokens are too long
 * to be guessed: this bounds the noise, not the risk. A valid token is never blocked.
 */
export class FailedAttempts {
  readonly #byAddress = new Map<string, Failures>()

  /** Seconds until this address may try again; 0 when it may now. */
  blockedSeconds(address: string, nowMs: number): number {
    const failures = this.#current(address, nowMs)
    if (failures === undefined || failures.count < MAX_FAILURES) return 0
    return Math.ceil((failures.since + WINDOW_MS - nowMs) / 1000)
  }

  add(address: string, nowMs: number): void {
    const failures = this.#current(address, nowMs)
    if (failures !== undefined) {
      failures.count += 1
      return
    }
    this.#forgetOldest()
    this.#byAddress.set(address, { since: nowMs, count: 1 })
  }

  #current(address: string, nowMs: number): Failures | undefined {
    const failures = this.#byAddress.get(address)
    if (failures === undefined || nowMs < failures.since + WINDOW_MS) return failures
    this.#byAddress.delete(address)
    return undefined
  }

  /** A map keeps the order of insertion, so that its first address began first. */
  #forgetOldest(): void {
    if (this.#byAddress.size < MAX_ADDRESSES) return
    const [oldest] = this.#byAddress.keys()
    if (oldest !== undefined) this.#byAddress.delete(oldest)
  }
}
