import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { HSM_SUPERVISOR_MAIN } from '@mortise/hsm'
import type { DataDirectory, HsmChoice } from './config/index.ts'

const RESTART_MS = 200
const STOP_TIMEOUT_MS = 5000

/**
 * The HSM process as a child of the server. It is passed file names and reads them itself; the server holds one end of a
 * pipe whose closing, also by SIGKILL, ends it.
 */
export class HsmProcess {
  readonly #arguments: string[]
  readonly #log: (line: string) => void
  #child: ChildProcess | undefined
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
      ...(choice.workers === undefined ? [] : ['--workers', String(choice.workers)]),
      ...['--parent-fd', '3'],
    ]
    this.#log = log
  }

  start(): void {
    const child = spawn(process.execPath, this.#arguments, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
    this.#child = child
    child.on('error', (error) => {
      this.#log(`the HSM process could not be started: ${error.message}`)
    })
    child.on('close', (code, signal) => {
      this.#closed(code, signal)
    })
  }

  /** Lets the workers sign their closing heads, which still go to the database, and waits for the end. */
  async stop(): Promise<void> {
    this.#stopping = true
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
    this.#log(`the HSM process ended (${signal ?? `exit code ${code ?? 'unknown'}`}); starting it again`)
    setTimeout(() => {
      if (!this.#stopping) this.start()
    }, RESTART_MS)
  }
}
