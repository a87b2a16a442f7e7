import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Backend, BenchInstallation, type InstallationPlan } from './installation.ts'
import { uponInterruption } from './interruption.ts'
import { type BenchVersion, macVersionOf } from './join-options.ts'
import { findSoftHsm2, type SoftHsm2 } from './softhsm2.ts'

const PROGRESS_DEVICES = 100_000

export type Progress = (line: string) => void

/** Where installations of a benchmark are made, and deleted again. */
export class Workshop implements Disposable {
  readonly #scratch = mkdtempSync(join(tmpdir(), 'mortise-bench-'))
  readonly #interruption = uponInterruption(() => {
    rmSync(this.#scratch, { recursive: true, force: true })
  })
  readonly #softHsm2 = findSoftHsm2()
  readonly #keep: string | undefined
  readonly #progress: Progress

  /** `keep`: where fleets outlive the benchmark; each use then works on a copy. */
  constructor(keep: string | undefined, progress: Progress) {
    this.#keep = keep
    this.#progress = progress
  }

  get softHsm2(): SoftHsm2 | undefined {
    return this.#softHsm2
  }

  /** An installation with its fleet, as before its first join. @throws CliError bench_failed */
  async installation(
    backend: Backend,
    version: BenchVersion,
    devices: number,
    networks: readonly string[],
  ): Promise<BenchInstallation> {
    const plan: InstallationPlan = { backend, macVersion: macVersionOf(version), devices, networks }
    const name = `${backend}-${version}-${devices}-${networks.length}`
    const startedAt = performance.now()
    const softHsm2 = backend === 'softhsm2' ? this.#softHsm2 : undefined
    const made = await BenchInstallation.prepare(join(this.#keep ?? this.#scratch, name), plan, softHsm2, (done) => {
      if (done % PROGRESS_DEVICES === 0) this.#progress(`making the fleet ${name}: ${done} of ${devices} devices`)
    })
    const installation = this.#keep === undefined ? made : made.copy(join(this.#scratch, name))
    this.#progress(`the fleet ${name} is ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
    return installation
  }

  /** When it is not needed any more: a large fleet takes half a gigabyte. */
  discard({ root }: BenchInstallation): void {
    rmSync(root, { recursive: true, force: true })
  }

  [Symbol.dispose](): void {
    this.#interruption[Symbol.dispose]()
    rmSync(this.#scratch, { recursive: true, force: true })
  }
}
