import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { CaseFailure, type Fuzzer } from '../campaign.ts'
import { OracleFailure } from '../failure.ts'
import { Tally } from '../tally.ts'
import type { CliWorld } from './cli-world.ts'
import type { FileAnswer } from './messages.ts'

/** Every so many cases one runs through the real commands, which take half a second. */
const CLI_EVERY = 1000
/** What all damaged files together may take. */
const MAX_HEAP_MB = 256
/** Questions that wait in the thread, so that it never does. */
const IN_FLIGHT = 8
const END_MS = 2000

/** Cases against the parsers of files: in a thread, and a few through `mortise` itself. */
export class FilesFuzzer implements Fuzzer {
  readonly target = 'files'
  readonly seed: number
  readonly inFlight = IN_FLIGHT
  readonly tally = new Tally()
  readonly #cli: CliWorld
  readonly #worker: Worker
  readonly #waiting = new Map<number, (answer: FileAnswer) => void>()
  /** Why the thread is gone. */
  #end: string | undefined

  constructor(cli: CliWorld, seed: number) {
    this.#cli = cli
    this.seed = seed
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { seed },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    this.#worker.on('message', (answer: FileAnswer) => {
      this.#waiting.get(answer.index)?.(answer)
      this.#waiting.delete(answer.index)
    })
    this.#worker.on('error', (error) => {
      this.#ended(String(error))
    })
    this.#worker.on('exit', () => {
      this.#ended('the reading thread has ended')
    })
  }

  async runCase(index: number): Promise<void> {
    if (index % CLI_EVERY === CLI_EVERY - 1) {
      await this.#runThroughCli(index)
      return
    }
    const answer = await this.#ask(index)
    if ('failure' in answer) {
      const { failure, input } = answer
      throw new CaseFailure(this, index, [Buffer.from(input)], new OracleFailure(failure.code, failure.detail))
    }
    this.tally.add(answer.outcome === 'read' ? `${answer.kind} read` : answer.outcome)
  }

  /** A thread that does not end, because it hangs, is ended. */
  async close(): Promise<void> {
    if (this.#end !== undefined) return
    this.#worker.postMessage('end')
    const gone = new Promise<void>((resolve) => {
      this.#worker.once('exit', () => {
        resolve()
      })
    })
    await Promise.race([gone, delay(END_MS)])
    await this.#worker.terminate()
  }

  #ask(index: number): Promise<FileAnswer> {
    if (this.#end !== undefined) return Promise.resolve(threadEnded(index, this.#end))
    return new Promise((resolve) => {
      this.#waiting.set(index, resolve)
      this.#worker.postMessage({ index })
    })
  }

  #ended(detail: string): void {
    this.#end ??= detail
    for (const [index, resolve] of this.#waiting) resolve(threadEnded(index, detail))
    this.#waiting.clear()
  }

  async #runThroughCli(index: number): Promise<void> {
    const input: Buffer[] = []
    try {
      this.tally.add(await this.#cli.runCase(this.seed, index, input))
    } catch (error) {
      throw new CaseFailure(this, index, input, error)
    }
  }
}

/** Of the questions that waited, the first is what ended it. */
function threadEnded(index: number, detail: string): FileAnswer {
  return { index, failure: { code: 'thread_ended', detail }, input: Buffer.alloc(0) }
}
