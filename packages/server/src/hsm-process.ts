import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { boundaryEnvironment, HSM_SUPERVISOR_MAIN } from '@mortise/hsm'
import type { DataDirectory, HsmChoice } from './config/index.ts'

const FIRST_RESTART_MS = 200
const MAX_RESTART_MS = 5000
/** The HSM process refuses its secret, its store or its token: trying again would lock a token. */
const EXIT_REFUSED = 2
const STOP_TIMEOUT_MS = 5000

/** The HSM process will not open its store; it has said why on standard error. */
export class HsmRefusedError extends Error {
  override readonly name = 'HsmRefusedError'
  readonly code = 'hsm_refused'
  readonly hint = 'the HSM process says above what is wrong; it is not tried again, because tokens lock'

  constructor() {
    super('the HSM process refuses its passphrase or PIN, its store or its token')
  }
}

/**
 * The HSM process as a child of the server. It is passed file names and reads them itself; the server holds one end of a
 * pipe whose closing, also by SIGKILL, ends it.
 */
export class HsmProcess {
  readonly #arguments: string[]
  readonly #log: (line: string) => void
  readonly #refused = Promise.withResolvers<never>()
  #child: ChildProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #restartMs = FIRST_RESTART_MS
  #stopping = false

  constructor(directory: DataDirectory, choice: HsmChoice & { kind: 'spawn' }, log: (line: string) => void) {
    mkdirSync(directory.run, { recursive: true, mode: 0o700 })
    this.#arguments = [
      // Whoever may signal the process must not open its inspector, which shows all memory.
      '--disable-sigusr1',
      fileURLToPath(HSM_SUPERVISOR_MAIN),
      ...['--directory', directory.hsm],
      ...['--server-socket', directory.serverSocket],
      ...['--custodian-socket', directory.custodianSocket],
      ...(choice.secretFile === undefined ? [] : ['--secret-file', choice.secretFile]),
      ...(choice.secretKind === undefined ? [] : ['--secret-kind', choice.secretKind]),
      ...(choice.workers === undefined ? [] : ['--workers', String(choice.workers)]),
      ...['--parent-fd', '3'],
    ]
    this.#log = log
    // Whoever asks for it sees it; nobody has to.
    this.#refused.promise.catch(() => undefined)
  }

  /** Rejects with {@link HsmRefusedError} when the process must not be started again; never resolves. */
  get refused(): Promise<never> {
    return this.#refused.promise
  }

  start(): void {
    const startedAtMs = performance.now()
    const child = spawn(process.execPath, this.#arguments, {
      env: boundaryEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    })
    this.#child = child
    child.on('error', (error) => {
      this.#log(`the HSM process could not be started: ${error.message}`)
    })
    child.on('close', (code, signal) => {
      // It ran for a while: this is another trouble than the last one.
      if (performance.now() - startedAtMs > 2 * MAX_RESTART_MS) this.#restartMs = FIRST_RESTART_MS
      this.#closed(code, signal)
    })
  }

  /** Lets the workers sign their closing heads, which still go to the database, and waits for the end. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      child.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      child.kill('SIGTERM')
    })
  }

  #closed(code: number | null, signal: string | null): void {
    if (this.#stopping) return
    if (code === EXIT_REFUSED) {
      this.#refused.reject(new HsmRefusedError())
      return
    }
    this.#log(`the HSM process ended (${signal ?? `exit code ${code ?? 'unknown'}`}); starting it again`)
    this.#restart = setTimeout(() => {
      this.start()
    }, this.#restartMs)
    this.#restartMs = Math.min(2 * this.#restartMs, MAX_RESTART_MS)
  }
}
