interface Line {
  running: number
  readonly waiting: (() => void)[]
}

/** A line for each name, in which work waits for that before it under the same name, and for nothing else. */
export class Lines {
  readonly #atOnce: number
  /** Of those that have work. */
  readonly #lines = new Map<string, Line>()

  /** `atOnce`: how much of one name is worked on at a time. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** Runs `work` when it is its turn; it may leave its place to the next before it ends. */
  async run<Result>(name: string, work: (leave: () => void) => Promise<Result>): Promise<Result> {
    const line = this.#lines.get(name) ?? { running: 0, waiting: [] }
    this.#lines.set(name, line)
    if (line.running < this.#atOnce) line.running += 1
    // Whoever ends hands its place over.
    else await new Promise<void>((resolve) => line.waiting.push(resolve))
    let hasPlace = true
    const leave = (): void => {
      if (hasPlace) this.#leave(name, line)
      hasPlace = false
    }
    try {
      return await work(leave)
    } finally {
      leave()
    }
  }

  #leave(name: string, line: Line): void {
    const next = line.waiting.shift()
    if (next !== undefined) next()
    else line.running -= 1
    if (line.running === 0) this.#lines.delete(name)
  }
}
