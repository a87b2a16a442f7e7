import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { SandboxAnswer, SandboxCall, SandboxFailure } from './sandbox-messages.ts'

/** What the thread may take longer than the codec, before it is stopped from outside. */
const GRACE_MS = 250
const START_MS = 20_000

/** What the thread's own JavaScript may take, beside the codec's heap. */
const HEAP_MIB = 64

/** What may leave a thread in a state that no other codec shall meet, or with all the memory that it took. */
const SPOILS: ReadonlySet<SandboxFailure> = new Set([
  'codec_timeout',
  'codec_memory',
  'codec_recursion',
  'codec_sandbox_failed',
])

/** One thread that runs codecs, one call at a time. It keeps no process alive that has nothing else to do. */
export class Sandbox implements AsyncDisposable {
  readonly #worker: Worker
  #usable = true

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.unref()
    // Without a listener an error of the thread would end the process.
    worker.on('error', () => (this.#usable = false))
    worker.on('exit', () => (this.#usable = false))
  }

  /** Rejects when no thread can be started. */
  static async start(): Promise<Sandbox> {
    const worker = new Worker(new URL('sandbox-thread.ts', import.meta.url), {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
      stdout: true,
      stderr: true,
    })
    const sandbox = new Sandbox(worker)
    try {
      await once(worker, 'message', { signal: AbortSignal.timeout(START_MS) })
      return sandbox
    } catch (error) {
      await sandbox[Symbol.asyncDispose]()
      throw error
    }
  }

  /** False after a codec went beyond a limit, and when the thread has ended. */
  get usable(): boolean {
    return this.#usable
  }

  /** Runs one call; no second one may be under way. It never rejects. */
  async run(call: SandboxCall): Promise<SandboxAnswer> {
    const answer = await this.#exchange(call)
    if ('failure' in answer && SPOILS.has(answer.failure)) await this[Symbol.asyncDispose]()
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#usable = false
    await this.#worker.terminate()
  }

  #exchange(call: SandboxCall): Promise<SandboxAnswer> {
    return new Promise((resolve) => {
      const finish = (answer: SandboxAnswer): void => {
        clearTimeout(timer)
        this.#worker.off('message', finish).off('exit', onExit).unref()
        resolve(answer)
      }
      const onExit = (): void => {
        finish({ failure: 'codec_sandbox_failed' })
      }
      // An answer that has arrived while this thread was busy comes before what follows a timer.
      const timer = setTimeout(() => setImmediate(finish, { failure: 'codec_timeout' }), call.limits.timeMs + GRACE_MS)
      this.#worker.on('message', finish).on('exit', onExit).ref()
      this.#worker.postMessage(call)
    })
  }
}
