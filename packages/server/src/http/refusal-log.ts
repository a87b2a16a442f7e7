import type { RefusalEvent } from './backend-interfaces/index.ts'

const LINES_PER_SECOND = 20

/**
 * Refusals as log lines, so that an operator can see why a device does not join. Bounded: a flood of forged frames fills
 * counters, not the disk.
 */
export class RefusalLog {
  readonly #log: (line: string) => void
  #second = 0
  #lines = 0
  #dropped = 0

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  write({ messageType, sender, devEui, result, code, cause }: RefusalEvent): void {
    const second = Math.floor(Date.now() / 1000)
    if (second !== this.#second) this.#begin(second)
    if (this.#lines >= LINES_PER_SECOND) {
      this.#dropped += 1
      return
    }
    this.#lines += 1
    const reason = cause instanceof Error ? cause.message : undefined
    this.#log(`refused ${JSON.stringify({ messageType, sender, devEui, result, code, reason })}`)
  }

  #begin(second: number): void {
    if (this.#dropped > 0) this.#log(`refused ${this.#dropped} more messages`)
    this.#second = second
    this.#lines = 0
    this.#dropped = 0
  }
}
