import type { ConnectionRefusal } from './connections.ts'
import type { ShareRefusal } from '../fair-share.ts'
import type { Metrics } from './metrics.ts'

const SILENCE_MS = 60_000

/** Counts what is too much, and tells an operator who watches no metrics; rarely, for a flood must not fill the disk. */
export class OverloadLog {
  readonly #metrics: Pick<Metrics, 'overloaded'>
  readonly #log: (line: string) => void
  #toldAt = -Infinity

  constructor(metrics: Pick<Metrics, 'overloaded'>, log: (line: string) => void) {
    this.#metrics = metrics
    this.#log = log
  }

  /** A message was refused, or a connection not taken or not kept. */
  write(what: 'message' | 'connection', reason: ShareRefusal | ConnectionRefusal): void {
    this.#metrics.overloaded(what, reason)
    const now = performance.now()
    if (now - this.#toldAt < SILENCE_MS) return
    this.#toldAt = now
    this.#log(`overloaded (${what}: ${reason}); mortise_overload_total in /metrics says how much`)
  }
}
