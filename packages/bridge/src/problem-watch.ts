import type { Log } from './log.ts'

/** Tells the log when a problem begins and when it has ended: who only reads the log must learn of both. */
export class ProblemWatch {
  readonly #problems: () => readonly string[]
  readonly #log: Log
  #known = ''
  #timer: NodeJS.Timeout | undefined

  constructor(problems: () => readonly string[], log: Log) {
    this.#problems = problems
    this.#log = log
  }

  start(everyMs: number): void {
    this.#timer = setInterval(() => {
      this.#look()
    }, everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const problem = this.#problems().join('; ')
    if (problem === this.#known) return
    this.#known = problem
    if (problem === '') this.#log.info('all is well again')
    else this.#log.warn('something is wrong', { problem })
  }
}
