/** A worker of the trust boundary without socket, supervisor and server: answers joins one after the other. */
import { decodeJoinCommand, encodeJoinAnswer, type JoinCommand } from '../contract/join.ts'
import { answerJoin } from '../custody/answer-join.ts'
import type { Custody } from '../custody/custody.ts'
import { HsmError } from '../errors.ts'
import { toBuffer } from '../worker/messages.ts'
import { answerQuestions } from './answer-questions.ts'
import type { AloneWorkerDialogue, BenchWindow } from './dialogue.ts'
import { startCustody } from './open-hsm.ts'

const SLICE_MS = 5

class JoinLoop {
  readonly #custody: Custody
  readonly #commands: readonly JoinCommand[]
  #running = false
  #next = 0
  #timesMs: number[] = []

  constructor(custody: Custody, commands: readonly JoinCommand[]) {
    this.#custody = custody
    this.#commands = commands
  }

  run(): void {
    this.#running = true
    this.#slice()
  }

  halt(): void {
    this.#running = false
  }

  async window(seconds: number): Promise<BenchWindow> {
    this.#timesMs = []
    const startedAt = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
    const elapsed = (performance.now() - startedAt) / 1000
    const sorted = Float64Array.from(this.#timesMs).sort()
    const quantile = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    const times = { p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: quantile(1) }
    return { seconds: elapsed, answered: sorted.length, ...times }
  }

  /** A stretch of joins, after which questions are looked at. */
  #slice(): void {
    if (!this.#running) return
    const end = performance.now() + SLICE_MS
    for (let now = performance.now(); now < end; ) {
      const command = this.#commands[this.#next]
      this.#next = (this.#next + 1) % this.#commands.length
      if (command !== undefined) answerJoin(this.#custody, command)
      const answered = performance.now()
      this.#timesMs.push(answered - now)
      now = answered
    }
    setImmediate(() => {
      this.#slice()
    })
  }
}

let custody: Custody | undefined
let loop: JoinLoop | undefined

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new HsmError('sealed')
  return part
}

answerQuestions<AloneWorkerDialogue>('mortise hsm bench worker', {
  start(start) {
    custody = startCustody(start)
    return {}
  },
  prepare({ commands }) {
    const opened = started(custody)
    const joins = commands.map((command) => decodeJoinCommand(toBuffer(command)))
    loop = new JoinLoop(opened, joins)
    return { answers: joins.map((join) => encodeJoinAnswer(answerJoin(opened, join))) }
  },
  run() {
    started(loop).run()
    return {}
  },
  window: ({ seconds }) => started(loop).window(seconds),
  halt() {
    started(loop).halt()
    return {}
  },
})
