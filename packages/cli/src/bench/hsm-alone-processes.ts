import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandProcess, type Members } from '@mortise/simulator'
import type { BenchInstallation } from './installation.ts'
import type { Drive, LoadWindow } from './measure.ts'

const HSM_ALONE_MAIN = new URL('./hsm-alone-main.ts', import.meta.url)

/** The token without the product: as many processes as the product has workers, each with a session of its own. */
export class HsmAloneProcesses implements Drive, AsyncDisposable {
  readonly #processes: readonly CommandProcess[]

  constructor(installation: BenchInstallation, count: number) {
    const path = join(installation.root, 'hsm-alone.json')
    const { secretFile, fleetFile, kekFile, environment, plan } = installation
    const [netId] = plan.networks
    const configuration = { data: installation.directory.root, secretFile, fleetFile, kekFile, netId }
    writeFileSync(path, JSON.stringify(configuration), { mode: 0o600 })
    const options = { program: HSM_ALONE_MAIN, args: ['--config', path], environment }
    this.#processes = Array.from({ length: count }, () => new CommandProcess(options))
  }

  get pids(): number[] {
    return this.#processes.flatMap(({ pid }) => pid ?? [])
  }

  async start(): Promise<void> {
    await this.#all('start')
  }

  /** The rates of all added up; of the times the worst. */
  async window(seconds: number): Promise<LoadWindow> {
    const windows = await this.#all('window', { seconds })
    const sum = (name: string) => windows.reduce((total, window) => total + window.number(name), 0)
    const max = (name: string) => Math.max(...windows.map((window) => window.number(name)))
    return {
      seconds: max('seconds'),
      ...{ answered: sum('answered'), refused: 0 },
      ...{ p50Ms: max('p50Ms'), p99Ms: max('p99Ms'), maxMs: max('maxMs'), idle: 0, connected: 0 },
    }
  }

  async stop(): Promise<number> {
    const totals = await this.#all('stop')
    return totals.reduce((sum, total) => sum + total.number('checked'), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()))
  }

  #all(command: string, members: Readonly<Record<string, unknown>> = {}): Promise<Members[]> {
    return Promise.all(this.#processes.map((process) => process.request(command, members)))
  }
}
