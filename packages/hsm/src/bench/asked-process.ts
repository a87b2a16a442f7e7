import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { HsmError } from '../errors.ts'
import { boundaryEnvironment } from '../process/environment.ts'
import type { AnswerMessage, AskedMessage, Dialogue } from './dialogue.ts'

/** How long a process may take to end when nobody asks it any more. */
const END_TIMEOUT_MS = 5000
const MAX_LAST_WORDS = 4096

interface Asker {
  readonly resolve: (answer: object) => void
  readonly reject: (error: HsmError) => void
}

export interface AskedProcessOptions {
  /** A program of this folder. */
  readonly program: URL
  readonly flags?: readonly string[]
  /** What a PKCS#11 module is configured by; variables of Node's own are left out. */
  readonly environment: NodeJS.ProcessEnv
}

/** A process of the trust boundary that a benchmark asks. It ends with whoever has started it. */
export class AskedProcess<D extends Dialogue<D>> implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #askers: Asker[] = []
  readonly #ended: Promise<unknown>
  #stderr = ''

  constructor({ program, flags = [], environment }: AskedProcessOptions) {
    this.#child = spawn(process.execPath, ['--disable-sigusr1', fileURLToPath(program), ...flags], {
      env: boundaryEnvironment(environment),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-MAX_LAST_WORDS)
    })
    this.#child.on('message', (message: AnswerMessage) => {
      const asker = this.#askers.shift()
      if (message.kind === 'answered') asker?.resolve(message.answer)
      else asker?.reject(new HsmError(message.code, message.detail))
    })
    this.#ended = new Promise((resolve) => {
      for (const event of ['error', 'exit']) this.#child.once(event, resolve)
    })
    // 'close' comes after the last words, and never when it was this side that disconnected.
    for (const event of ['error', 'close'])
      this.#child.once(event, () => {
        this.#refuseAll()
      })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** @throws HsmError as the process refuses; token_failed when it has ended */
  async ask<Name extends keyof D & string>(name: Name, question: D[Name]['question']): Promise<D[Name]['answer']> {
    if (!this.#child.connected) throw this.#processEnded()
    return new Promise((resolve, reject) => {
      this.#askers.push({ resolve, reject })
      // A channel that breaks under a dying process is no error of its own: 'close' follows.
      this.#child.send({ name, question } satisfies AskedMessage, () => undefined)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT_MS)
    await this.#ended
    clearTimeout(timer)
    this.#refuseAll()
  }

  #refuseAll(): void {
    for (const { reject } of this.#askers.splice(0)) reject(this.#processEnded())
  }

  #processEnded(): HsmError {
    return new HsmError('token_failed', `the process has ended: ${this.#stderr.trim()}`)
  }
}
