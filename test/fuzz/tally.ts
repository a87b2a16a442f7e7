/** How often something was seen. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(what: string): void {
    this.#counts.set(what, this.of(what) + 1)
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** For people, the most frequent first. */
  toString(): string {
    const sorted = [...this.#counts].sort(([, one], [, other]) => other - one)
    return sorted.map(([what, count]) => `${what} ${count}`).join(', ')
  }
}
