import type { JoinRequests } from './join-requests.ts'
import type { LoadExchange, LoadSource } from './load-source.ts'

/** Joins of a whole fleet, one device after the other, in an order that jumps over the whole of it. */
export class JoinSource implements LoadSource {
  readonly #requests: JoinRequests
  readonly #step: number
  readonly #busy: Uint8Array
  #index = 0

  constructor(requests: JoinRequests) {
    this.#requests = requests
    this.#step = stepOver(requests.devices)
    this.#busy = new Uint8Array(requests.devices)
  }

  next(): LoadExchange | undefined {
    const index = this.#nextIndex()
    if (index === undefined) return undefined
    const { body, check } = this.#requests.next(index)
    return {
      body,
      check: (answer) => {
        this.#busy[index] = 0
        check(answer)
      },
      abandon: () => {
        this.#busy[index] = 0
      },
    }
  }

  /** A device with one radio: none has two join-requests under way. */
  #nextIndex(): number | undefined {
    const size = this.#busy.length
    for (let tried = 0; tried < size; tried++) {
      this.#index = (this.#index + this.#step) % size
      if (this.#busy[this.#index] === 1) continue
      this.#busy[this.#index] = 1
      return this.#index
    }
    return undefined
  }
}

/** A step without common divisor with `size`, so that every device has its turn: near the golden section of it. */
function stepOver(size: number): number {
  let step = Math.max(1, Math.round(size * 0.618))
  while (greatestCommonDivisor(step, size) !== 1) step += 1
  return step
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
