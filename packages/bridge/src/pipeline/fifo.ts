/** Numbers of events that wait their turn: eight bytes each, however many there are. */
export class Fifo {
  #items: number[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  get first(): number | undefined {
    return this.#items[this.#head]
  }

  push(item: number): void {
    this.#items.push(item)
  }

  shift(): number | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    // What is behind is cut off before it is more than what waits.
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
