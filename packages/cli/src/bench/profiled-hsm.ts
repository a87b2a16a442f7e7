import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { boundaryEnvironment, HSM_BENCH_PROFILED_MAIN } from '@mortise/hsm'
import type { BenchInstallation } from './installation.ts'
import { uponInterruption } from './interruption.ts'

/** The HSM process of an installation, started apart from its server, so that it leaves CPU profiles when it ends. */
export class ProfiledHsm {
  readonly #child: ChildProcess

  constructor({ directory, secretFile, environment }: BenchInstallation, profiles: string) {
    const options = {
      ...{ '--directory': directory.hsm, '--secret-file': secretFile, '--parent-fd': '3' },
      ...{ '--server-socket': directory.serverSocket, '--custodian-socket': directory.custodianSocket },
    }
    const node = ['--disable-sigusr1', '--cpu-prof', `--cpu-prof-dir=${profiles}`]
    this.#child = spawn(
      process.execPath,
      [...node, fileURLToPath(HSM_BENCH_PROFILED_MAIN), ...Object.entries(options).flat()],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
        env: boundaryEnvironment(environment),
      },
    )
    const interruption = uponInterruption(() => this.#child.kill('SIGKILL'))
    this.#child.once('close', () => {
      interruption[Symbol.dispose]()
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      this.#child.once('close', () => {
        resolve()
      })
      this.#child.kill('SIGTERM')
    })
  }
}
