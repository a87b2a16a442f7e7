import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readLines } from './json-lines.ts'
import { Members } from './members.ts'

/** A command that a child process refused, or could not answer: then the code is `process_ended`. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export interface CommandProcessOptions {
  /** The program, a file of TypeScript or JavaScript that serves commands line by line. */
  readonly program: URL
  readonly args?: readonly string[]
  /** Sees every line that the process writes, as text. */
  readonly onLine?: ((line: string) => void) | undefined
  /** Instead of this process's own. */
  readonly environment?: NodeJS.ProcessEnv
}

interface Waiting {
  readonly resolve: (result: Members) => void
  readonly reject: (error: Error) => void
}

/** How long a process may take to end after its input has ended. */
const END_TIMEOUT_MS = 5000

/** A child process that is told commands on its standard input. It ends with that input, so it never outlives us. */
export class CommandProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0

  constructor({ program, args = [], onLine, environment = process.env }: CommandProcessOptions) {
    this.#child = spawn(process.execPath, [fileURLToPath(program), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment,
    })
    // A write to a process that has just died fails here; its commands fail when the output ends.
    this.#child.stdin.on('error', () => undefined)
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', resolve)
      this.#child.once('exit', resolve)
    })
    void this.#readAnswers(onLine)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** The result of one command. Several may be under way. @throws {CommandError} the code that the process answered */
  request(command: string, members: Readonly<Record<string, unknown>> = {}): Promise<Members> {
    return new Promise((resolve, reject) => {
      if (!this.#child.stdin.writable || this.#child.exitCode !== null) {
        reject(processEnded())
        return
      }
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(`${JSON.stringify({ ...members, id, command })}\n`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT_MS)
    await this.#exited
    clearTimeout(timer)
  }

  async #readAnswers(onLine: CommandProcessOptions['onLine']): Promise<void> {
    try {
      for await (const line of readLines(this.#child.stdout)) {
        onLine?.(line)
        this.#settle(Members.parse(line))
      }
    } catch {
      // What is no answer cannot be matched to its command, so none can be trusted any more.
      this.#child.kill('SIGKILL')
    }
    for (const { reject } of this.#waiting.values()) reject(processEnded())
    this.#waiting.clear()
    this.#child.stdin.end()
  }

  #settle(answer: Members): void {
    const id = answer.number('id')
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (answer.has('result')) waiting?.resolve(answer.object('result'))
    else waiting?.reject(new CommandError(answer.object('error').text('code'), answer.object('error').text('message')))
  }
}

function processEnded(): CommandError {
  return new CommandError('process_ended', 'The process has ended.')
}
