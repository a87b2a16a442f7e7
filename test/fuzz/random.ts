/**
 * The numbers of one case: xoshiro128** (Blackman and Vigna), seeded by splitmix32 from the run's seed and the case's
 * index, so that a case needs nothing of the cases before it.
 */
export class Random {
  readonly #state: Uint32Array<ArrayBuffer>

  constructor(...seeds: readonly number[]) {
    let mixed = 0x9e3779b9
    for (const seed of seeds) mixed = splitmix32(mixed ^ seed)
    this.#state = Uint32Array.from({ length: 4 }, (_, word) => splitmix32(mixed + Math.imul(word + 1, 0x9e3779b9)))
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const state = this.#state
    const [a = 0, b = 0, c = 0, d = 0] = state
    const third = c ^ a
    const fourth = d ^ b
    state[1] = b ^ third
    state[0] = a ^ fourth
    state[2] = third ^ (b << 9)
    state[3] = rotate(fourth, 11)
    return Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * limit)
  }

  /** `lowest` to `highest`, both possible. */
  between(lowest: number, highest: number): number {
    return lowest + this.below(highest - lowest + 1)
  }

  chance(probability: number): boolean {
    return this.uint32() < probability * 0x1_0000_0000
  }

  /** @throws RangeError for an empty list */
  pick<Value>(list: readonly Value[]): Value {
    const at = this.below(list.length)
    for (const value of list.slice(at, at + 1)) return value
    throw new RangeError('nothing to pick from')
  }

  /** One of the values, each as often as its weight says. */
  weighted<Value>(choices: readonly (readonly [weight: number, value: Value])[]): Value {
    let left = this.below(choices.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, value] of choices) {
      if (left < weight) return value
      left -= weight
    }
    throw new RangeError('nothing to choose from')
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; at++) bytes[at] = this.uint32() >>> 24
    return bytes
  }

  shuffled<Value>(list: readonly Value[]): Value[] {
    const keyed = list.map((value) => ({ value, key: this.uint32() }))
    return keyed.sort((one, other) => one.key - other.key).map(({ value }) => value)
  }
}

/** The finaliser of splitmix32. */
function splitmix32(value: number): number {
  let mixed = (value + 0x9e3779b9) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}
