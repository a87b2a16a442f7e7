/** Times in milliseconds, as many as come, each in four bytes. */
export class Latencies {
  #values = new Float32Array(1 << 14)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(ms: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float32Array(2 * this.#count)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#count++] = ms
  }

  /** The smallest time that so many of all (0 to 1) do not exceed, for each of `shares`; 0 when there is none. */
  quantiles(shares: readonly number[]): number[] {
    const sorted = this.#values.subarray(0, this.#count).toSorted()
    return shares.map((share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0)
  }
}
