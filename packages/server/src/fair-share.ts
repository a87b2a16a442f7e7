/**
 * - `share`: the places are scarce, and this one has its share of them.
 * - `full`: nobody gets a place.
 */
export type ShareRefusal = 'share' | 'full'

/**
 * Places for whoever asks. Whoever is alone may have them all; when half of them are taken, each has its equal share of
 * them, and who has more gets none until it has given some back. So one holder that takes everything cannot lock out one
 * who comes later: that one has its share all the same, beyond the places that there are. Many holders together can: when
 * they have taken the most that there may be, nobody gets a place. All in constant time.
 */
export class FairShare {
  /** How many places there are to be shared; may be changed at any time. */
  places: number
  readonly #most: number
  readonly #holders = new Map<string, number>()
  #taken = 0

  /** At no time are more than `most` taken, whoever comes. */
  constructor(places: number, most: number) {
    this.places = places
    this.#most = most
  }

  get taken(): number {
    return this.#taken
  }

  /** Takes a place for `holder`, who has to {@link leave} it; or says why there is none. */
  enter(holder: string): ShareRefusal | undefined {
    const held = this.#holders.get(holder) ?? 0
    const holders = held === 0 ? this.#holders.size + 1 : this.#holders.size
    if (2 * this.#taken >= this.places && held * holders >= this.places) return 'share'
    if (this.#taken >= this.#most) return 'full'
    this.#holders.set(holder, held + 1)
    this.#taken += 1
    return undefined
  }

  /** Gives a place back. */
  leave(holder: string): void {
    const held = this.#holders.get(holder)
    if (held === undefined) return
    if (held === 1) this.#holders.delete(holder)
    else this.#holders.set(holder, held - 1)
    this.#taken -= 1
  }
}
