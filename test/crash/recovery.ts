import { type Victim, VICTIMS } from './schedule.ts'

/** From a kill to the first answer to a join that was sent after it. */
export class Recovery {
  readonly kills: Record<Victim, number> = { server: 0, everything: 0, supervisor: 0, worker: 0 }
  /** Milliseconds. A kill that another one followed before any answer has none. */
  readonly timesMs: Record<Victim, number[]> = { server: [], everything: [], supervisor: [], worker: [] }
  #open: { readonly victim: Victim; readonly atMs: number } | undefined
  #recovered = Promise.withResolvers<true>()

  killed(victim: Victim, atMs: number): void {
    this.kills[victim] += 1
    if (this.#open === undefined) this.#recovered = Promise.withResolvers<true>()
    this.#open = { victim, atMs }
  }

  /** A join was answered; `sentAtMs` as performance.now() was when it left. */
  answered(sentAtMs: number): void {
    if (this.#open === undefined || sentAtMs < this.#open.atMs) return
    this.timesMs[this.#open.victim].push(performance.now() - this.#open.atMs)
    this.#open = undefined
    this.#recovered.resolve(true)
  }

  /** Whether joins are answered again; false after `timeoutMs`. */
  async recovered(timeoutMs: number): Promise<boolean> {
    if (this.#open === undefined) return true
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => {
        resolve(false)
      }, timeoutMs)
    })
    const recovered = await Promise.race([this.#recovered.promise, late])
    clearTimeout(timer)
    return recovered
  }

  get allKills(): number {
    return VICTIMS.reduce((sum, victim) => sum + this.kills[victim], 0)
  }
}

/** The value below which the given part of all lies; 0 for none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
}
