import type { MacVersion } from '@mortise/lorawan'

/** What is compared; see `mortise bench join --help`. */
export const ROWS = ['a', 'b', 'c', 'd', 'e'] as const
export type Row = (typeof ROWS)[number]

export const BENCH_VERSIONS = ['1.0.4', '1.1'] as const
export type BenchVersion = (typeof BENCH_VERSIONS)[number]

export const LOADS = ['full', 'half'] as const
export type Load = (typeof LOADS)[number]

export const DEFAULT_DEVICES: readonly number[] = [10_000, 1_000_000]
/** A million records of SoftHSM2 take minutes: that many are measured only when somebody asks for them by --devices. */
const DEFAULT_SOFTHSM2_DEVICES = 10_000
/** The Things Stack leaves each of its connections open for 90 s; with a limit of 20,000 these are normal. */
export const IDLE_CONNECTIONS = 5000

export interface JoinBenchOptions {
  readonly rows: readonly Row[]
  readonly macVersion: readonly BenchVersion[]
  /** Absent: {@link DEFAULT_DEVICES}, SoftHSM2 with the smaller ones alone. */
  readonly devices?: readonly number[]
  readonly load: readonly Load[]
  /** Of one measurement. */
  readonly seconds: number
  readonly rounds: number
  readonly connections: number
  readonly idleConnections: number
  readonly pin: boolean
  readonly json: boolean
  readonly keep?: string
  readonly cpuProfile?: string
  readonly startUp: boolean
  /** Seconds of one long run. */
  readonly steady?: number
}

export function macVersionOf(version: BenchVersion): MacVersion {
  return version === '1.1' ? '1.1.0' : version
}

export function devicesOf({ devices }: JoinBenchOptions): readonly number[] {
  return devices ?? DEFAULT_DEVICES
}

/** Whether there is anything to measure with the soft HSM, or with its certificates. */
export function withSoft({ rows }: JoinBenchOptions): boolean {
  return rows.some((row) => row === 'a' || row === 'b' || row === 'e')
}

/** Whether the rows of SoftHSM2 are measured with so many devices. */
export function withSoftHsm2({ devices, rows }: JoinBenchOptions, count: number): boolean {
  if (!rows.includes('c') && !rows.includes('d')) return false
  return devices !== undefined || count <= DEFAULT_SOFTHSM2_DEVICES
}

/** Whether row (e) is measured with so many devices: a handshake does not ask how many there are. */
export function withNewConnections(options: JoinBenchOptions, count: number): boolean {
  return options.rows.includes('e') && count === Math.min(...devicesOf(options))
}
