import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSoftHsmToken, type SoftHsmToken } from './softhsm.ts'

/** A throw-away installation of the real thing: `bin/mortise` as a user runs it, in a temporary directory. */

const MORTISE = fileURLToPath(new URL('../../packages/cli/bin/mortise', import.meta.url))
const READY_TIMEOUT_MS = 30_000

export type Backend = 'soft' | 'pkcs11'
export const BACKENDS: readonly Backend[] = ['soft', 'pkcs11']

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface InstallationOptions {
  /** For every command, beside what the tests themselves have. */
  readonly environment?: Readonly<Record<string, string>>
  /** A PKCS#11 library to go through instead of SoftHSM2's own. */
  readonly module?: string
}

export class Installation implements AsyncDisposable {
  readonly backend: Backend
  readonly root: string
  readonly data: string
  readonly secretFile: string
  readonly environment: NodeJS.ProcessEnv
  /** Where its processes put temporary files. */
  readonly temporary: string
  /** What the commands that have ended wrote, both streams. */
  transcript = ''
  readonly #token: SoftHsmToken | undefined
  #servers: ServerProcess[] = []

  private constructor(backend: Backend, { environment, module }: InstallationOptions) {
    this.backend = backend
    this.root = mkdtempSync(join(tmpdir(), 'mortise-'))
    this.data = join(this.root, 'data')
    const token = backend === 'pkcs11' ? createSoftHsmToken(join(this.root, 'softhsm')) : undefined
    this.#token = token && { ...token, module: module ?? token.module }
    this.temporary = join(this.root, 'tmp')
    mkdirSync(this.temporary)
    this.environment = { ...process.env, TMPDIR: this.temporary, ...this.#token?.environment, ...environment }
    this.secretFile = this.secret('secret', this.#token?.pin ?? 'correct horse battery staple')
  }

  /** `mortise init` has been run. */
  static async create(backend: Backend = 'soft', options: InstallationOptions = {}): Promise<Installation> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(Installation.prepare(backend, options))
    await installation.mortise(...installation.initCommand())
    cleanup.move()
    return installation
  }

  /** Everything is there for `mortise init`, which has not been run. */
  static prepare(backend: Backend, options: InstallationOptions = {}): Installation {
    return new Installation(backend, options)
  }

  /** Writes a file with mode 0600 and returns its path. */
  secret(name: string, content: string): string {
    const path = join(this.root, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  /** Runs a command that must succeed. */
  async mortise(...args: string[]): Promise<CommandResult> {
    const result = await this.try(...args)
    if (result.code !== 0) throw new Error(`mortise ${args.join(' ')} failed: ${result.stderr}`)
    return result
  }

  /** Runs a command with --json and reads what it prints. */
  async json(...args: string[]): Promise<unknown> {
    return JSON.parse((await this.mortise(...args, '--json')).stdout)
  }

  /** Runs a command, whatever comes of it. */
  try(...args: string[]): Promise<CommandResult> {
    return this.tryBare(...args, '--data', this.data)
  }

  /** The same for a command that works on no installation. */
  tryBare(...args: string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      const options = { cwd: this.root, env: this.environment, maxBuffer: 64 * 1024 * 1024 }
      execFile(process.execPath, [MORTISE, ...args], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        this.transcript += stdout + stderr
        resolve({ code, stdout, stderr })
      })
    })
  }

  /** Starts `mortise serve` on free ports and waits until it is ready. */
  async serve(...options: string[]): Promise<ServerProcess> {
    const server = this.start(
      'serve',
      ...this.secretOption(),
      '--bi-listen',
      '127.0.0.1:0',
      '--api-listen',
      '127.0.0.1:0',
      ...options,
    )
    await server.ready(this)
    return server
  }

  /** Starts a command that goes on, without waiting for anything. */
  start(...args: string[]): ServerProcess {
    return this.startUnder([], ...args)
  }

  /** The same under another program, which runs the rest of its command line. Both work in the installation's root. */
  startUnder(program: readonly string[], ...args: string[]): ServerProcess {
    return this.#spawn([...program, process.execPath, MORTISE, ...args, '--data', this.data])
  }

  /** Starts a command that works on no installation. */
  startBare(...args: string[]): ServerProcess {
    return this.#spawn([process.execPath, MORTISE, ...args])
  }

  #spawn([file = '', ...rest]: readonly string[]): ServerProcess {
    const child = spawn(file, rest, { cwd: this.root, env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] })
    const server = new ServerProcess(child)
    this.#servers.push(server)
    return server
  }

  secretOption(): string[] {
    return [this.backend === 'soft' ? '--passphrase-file' : '--pin-file', this.secretFile]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.kill()
    this.#servers = []
    rmSync(this.root, { recursive: true, force: true })
  }

  /** The words and options of `mortise init`. */
  initCommand(): string[] {
    const token = this.#token && ['--pkcs11-module', this.#token.module, '--pkcs11-token', this.#token.label]
    return ['init', '--hsm', this.backend, ...(token ?? []), ...this.secretOption(), '--yes']
  }
}

/** A running `mortise serve` or `mortise hsm serve`. */
export class ServerProcess {
  readonly child: ChildProcess
  output = ''
  biUrl = ''
  apiUrl = ''

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('not started')
    return this.child.pid
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Waits until `/readyz` says so. */
  async ready(installation: Installation): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS
    while (Date.now() < deadline && !this.ended) {
      if (this.#findAddresses(installation) && (await readiness(this.apiUrl, installation)) === 200) return
      await delay(50)
    }
    throw new Error(`the server did not become ready:\n${this.output}`)
  }

  /** Waits until its output has these words. */
  async says(words: string): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS
    while (!this.output.includes(words)) {
      if (Date.now() > deadline || this.ended) throw new Error(`"${words}" was not said:\n${this.output}`)
      await delay(20)
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.ended) return
    const closed = once(this.child, 'close')
    this.child.kill(signal)
    await closed
  }

  #findAddresses({ data }: Installation): boolean {
    const file = join(data, 'run', 'server.json')
    if (!existsSync(file)) return false
    const { pid, bi, api } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; bi: string; api: string }
    // A server that was killed leaves its file behind.
    if (pid !== this.pid) return false
    this.biUrl = `https://${bi}/`
    this.apiUrl = `https://${api}`
    return true
  }
}

/** Status of `/readyz`; 0 when nobody listens. */
export function readiness(apiUrl: string, installation: Installation): Promise<number> {
  const ca = readFileSync(join(installation.data, 'ca.pem'))
  return new Promise((resolve) => {
    get(`${apiUrl}/readyz`, { ca, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', () => {
      resolve(0)
    })
  })
}
