import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { get } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../errors.ts'
import type { BenchInstallation } from './installation.ts'
import { uponInterruption } from './interruption.ts'
import { childrenOf } from './processes.ts'
import { ProfiledHsm } from './profiled-hsm.ts'
import { MORTISE } from './run-command.ts'

const START_TIMEOUT_MS = 60_000
const POLL_MS = 5
const STOP_TIMEOUT_MS = 30_000
/** What is told of a server that did not start: the last of what it said, in characters. */
const MAX_STDERR = 4096

export interface ServerProcessOptions {
  /** Where the processes of the product leave their CPU profiles when they end. */
  readonly cpuProfile?: string | undefined
}

/** Process ids of the product, by what each is. */
export interface ProductPids {
  readonly server: number
  readonly supervisor: number
}

/** `mortise serve` of an installation, with the HSM process that it starts. */
export class ServerProcess implements AsyncDisposable {
  readonly pids: ProductPids
  readonly biPort: number
  readonly apiPort: number
  /** From its start until /readyz said 200. */
  readonly startedInMs: number
  readonly #child: ChildProcess
  readonly #hsm: ProfiledHsm | undefined

  private constructor(child: ChildProcess, hsm: ProfiledHsm | undefined, addresses: Addresses, startedInMs: number) {
    this.#child = child
    this.#hsm = hsm
    this.biPort = addresses.bi
    this.apiPort = addresses.api
    this.startedInMs = startedInMs
    this.pids = productPids(child.pid ?? 0, hsm)
  }

  /** @throws CliError bench_failed when it does not become ready */
  static async start(installation: BenchInstallation, { cpuProfile }: ServerProcessOptions): Promise<ServerProcess> {
    const { directory } = installation
    const hsm = cpuProfile === undefined ? undefined : new ProfiledHsm(installation, cpuProfile)
    const startedAt = performance.now()
    const child = spawnServer(installation, cpuProfile)
    let stderr = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-MAX_STDERR)
    })
    const ca = readFileSync(directory.caCertificate, 'utf8')
    while (performance.now() - startedAt < START_TIMEOUT_MS && child.exitCode === null) {
      const addresses = readAddresses(directory.serverFile, child.pid)
      if (addresses !== undefined && (await isReady(addresses.api, ca)))
        return new ServerProcess(child, hsm, addresses, performance.now() - startedAt)
      await delay(POLL_MS)
    }
    child.kill('SIGKILL')
    await hsm?.stop()
    throw new CliError('bench_failed', `mortise serve did not become ready: ${stderr.trim()}`)
  }

  /** As an operator stops it: what is in flight is answered, and the last receipts become durable. */
  async stop(): Promise<void> {
    await this.#stopServer()
    await this.#hsm?.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stopServer(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      this.#child.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#child.kill('SIGTERM')
    })
  }
}

/** With profiles the HSM process is started apart: it takes no options of Node from its environment. */
function spawnServer({ directory, secretOption, environment }: BenchInstallation, cpuProfile?: string): ChildProcess {
  const node = cpuProfile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfile}`]
  const hsm = cpuProfile === undefined ? secretOption : ['--hsm-socket', directory.serverSocket]
  const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
  const args = [...node, MORTISE, 'serve', '--data', directory.root, ...hsm, ...listen]
  const child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
  const interruption = uponInterruption(() => child.kill('SIGKILL'))
  child.once('close', () => {
    interruption[Symbol.dispose]()
  })
  return child
}

function productPids(server: number, hsm: ProfiledHsm | undefined): ProductPids {
  const supervisor = hsm?.pid ?? childrenOf(server)[0]
  if (supervisor === undefined) throw new CliError('bench_failed', 'mortise serve has no HSM process')
  return { server, supervisor }
}

interface Addresses {
  readonly bi: number
  readonly api: number
}

/** What the server writes once it listens; a file that an earlier process left is not it. */
function readAddresses(path: string, pid: number | undefined): Addresses | undefined {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; bi: string; api: string }
    return file.pid === pid ? { bi: portOf(file.bi), api: portOf(file.api) } : undefined
  } catch {
    return undefined
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

function isReady(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/readyz', ca, agent: false }, (response) => {
      response.resume()
      response.once('close', () => {
        resolve(response.statusCode === 200)
      })
    })
    request.once('error', () => {
      resolve(false)
    })
  })
}
