import { arch, cpus, release, totalmem } from 'node:os'
import { allowedCores } from './processes.ts'

/** What a figure is worth little without. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly architecture: string
  readonly kernel: string
  readonly node: string
  readonly openssl: string
  readonly sqlite: string
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: allowedCores().length,
    memoryBytes: totalmem(),
    architecture: arch(),
    kernel: release(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    sqlite: process.versions['sqlite'] ?? 'unknown',
  }
}
