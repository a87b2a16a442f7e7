import type { JoinEui } from './identifiers.ts'
import { EUI64_BITS, type JoinEuiPrefix } from './join-eui-prefix.ts'

/** Values by the bits of their prefix, which are as many for all in one. */
interface OfOneLength<T> {
  /** Bits behind the prefix. */
  readonly rest: bigint
  readonly values: ReadonlyMap<bigint, T>
}

/**
 * Values for prefixes of JoinEUIs. One is found in as many steps as there are lengths of prefixes, 65 at most, however
 * many prefixes there are. Of two values for one prefix the later counts.
 */
export class JoinEuiIndex<T> {
  /** Longest prefixes first. */
  readonly #lengths: readonly OfOneLength<T>[]

  constructor(entries: Iterable<readonly [JoinEuiPrefix, T]>) {
    const lengths = Map.groupBy(entries, ([{ bits }]) => bits)
    this.#lengths = Array.from(lengths)
      .sort(([a], [b]) => b - a)
      .map(([bits, ofOne]) => {
        const rest = BigInt(EUI64_BITS - bits)
        return { rest, values: new Map(ofOne.map(([{ joinEui }, value]) => [BigInt(`0x${joinEui}`) >> rest, value])) }
      })
  }

  /** The value of the longest prefix that the JoinEUI begins with. */
  find(joinEui: JoinEui): T | undefined {
    if (this.#lengths.length === 0) return undefined
    const number = BigInt(`0x${joinEui}`)
    for (const { rest, values } of this.#lengths) {
      const value = values.get(number >> rest)
      if (value !== undefined) return value
    }
    return undefined
  }
}
