import { WrongAnswerError } from './load-devices.ts'
import type { LoadExchange, LoadSource } from './load-source.ts'

/** As many requests are made beforehand. */
const POOL = 1000

/** Requests for a bare server, which answers all alike: made beforehand, so that making them limits nothing. */
export class ConstantSource implements LoadSource {
  readonly #exchanges: readonly LoadExchange[]
  #next = 0
  #answer: string | undefined

  /** Takes its requests from `source`. */
  constructor(source: LoadSource) {
    this.#exchanges = Array.from({ length: POOL }, () => {
      const exchange = source.next()
      if (exchange === undefined) throw new RangeError('there are no devices')
      exchange.abandon()
      return { body: exchange.body, check: (answer) => this.#check(answer), abandon: () => undefined }
    })
  }

  next(): LoadExchange {
    const exchange = this.#exchanges[this.#next]
    if (exchange === undefined) throw new RangeError('there are no requests')
    this.#next = (this.#next + 1) % POOL
    return exchange
  }

  #check(answer: string): void {
    this.#answer ??= answer
    if (answer !== this.#answer) throw new WrongAnswerError('the answer is not the same as the first')
  }
}
