/** Answers of one peer that are worked on at once; the others wait in its line. */
const MAX_AT_ONCE = 16

interface Line {
  running: number
  readonly waiting: (() => void)[]
}

/** A line for each peer, in which its work waits for its own before it, and for nobody else's. */
export class PeerLines {
  /** Of those that have work. */
  readonly #lines = new Map<string, Line>()

  /** Runs `work` when it is its turn. */
  async run<Result>(peerId: Buffer, work: () => Promise<Result>): Promise<Result> {
    const key = peerId.toString('hex')
    const line = this.#lines.get(key) ?? { running: 0, waiting: [] }
    this.#lines.set(key, line)
    if (line.running < MAX_AT_ONCE) line.running += 1
    // Whoever ends hands its place over.
    else await new Promise<void>((resolve) => line.waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = line.waiting.shift()
      if (next !== undefined) next()
      else line.running -= 1
      if (line.running === 0) this.#lines.delete(key)
    }
  }
}
