import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { demand } from './failure.ts'

/** What a process that is watched does, and so how much it may grow. */
export type ProcessKind = keyof typeof MAX_GROWTH_BYTES

/** The processes that are watched, by name: they must live as long as the campaign. */
export type Watched = ReadonlyMap<string, WatchedProcess>

export interface WatchedProcess {
  readonly pid: number
  readonly kind: ProcessKind
}

export interface HealthSample extends WatchedProcess {
  readonly residentBytes: number
  readonly descriptors: number
}

export type Health = ReadonlyMap<string, HealthSample>

const MEBIBYTE = 1024 * 1024

/**
 * How much more resident memory a process may have at the end than after the warm-up, when heaps and allocators still grow
 * to their size. The server has the cache of the database, too: what leaks slowly there is seen by its small heap
 * (bi/world.ts), which it fills. A worker on SoftHSM2 leaks some 245 bytes for each object, as is known of it. The others
 * keep nothing: in the 200,000 cases of a whole campaign one that keeps 300 bytes of each is seen, a supervisor 200.
 */
export const MAX_GROWTH_BYTES = {
  server: 128 * MEBIBYTE,
  supervisor: 32 * MEBIBYTE,
  worker: 48 * MEBIBYTE,
  'SoftHSM2 worker': 128 * MEBIBYTE,
} as const
/** Connections that are about to end, and what Node opens when it first needs it. */
const SPARE_DESCRIPTORS = 8
const SETTLE_TIMEOUT_MS = 10_000
const SETTLE_STEP_MS = 50

/** What the kernel says of these processes now. @throws OracleFailure when one is gone */
export function takeHealth(watched: Watched): Health {
  return new Map(Array.from(watched, ([name, { pid, kind }]) => [name, sampleOf(name, pid, kind)]))
}

/**
 * Compares the end with the beginning: the same processes, and no growth.
 * @param before taken before the first connection, for descriptors
 * @param warm taken after the warm-up, for memory
 * @throws OracleFailure
 */
export function compareHealth(before: Health, warm: Health, after: Health): void {
  for (const [name, { pid, kind, residentBytes, descriptors }] of after) {
    const first = before.get(name)
    const early = warm.get(name)
    demand(first?.pid === pid && early?.pid === pid, 'process_replaced', `${name} is another process`)
    const growth = residentBytes - early.residentBytes
    demand(growth <= MAX_GROWTH_BYTES[kind], 'memory_grown', `${name}: ${megabytes(growth)} MB more`)
    const opened = descriptors - first.descriptors
    demand(opened <= SPARE_DESCRIPTORS, 'descriptors_grown', `${name}: ${opened} descriptors more`)
  }
  demand(after.size === before.size, 'process_replaced', `${before.size} processes, then ${after.size}`)
}

/** Waits until connections that were closed are gone, as long as that may take. */
export async function settledHealth(watch: () => Watched, before: Health): Promise<Health> {
  const deadline = Date.now() + SETTLE_TIMEOUT_MS
  for (;;) {
    const health = takeHealth(watch())
    const settled = [...health].every(
      ([name, { descriptors }]) => descriptors <= (before.get(name)?.descriptors ?? 0) + SPARE_DESCRIPTORS,
    )
    if (settled || Date.now() > deadline) return health
    await delay(SETTLE_STEP_MS)
  }
}

/** For people: memory and descriptors of every process. */
export function describeHealth(health: Health): string {
  return Array.from(
    health,
    ([name, { residentBytes, descriptors }]) => `${name} ${megabytes(residentBytes)} MB, ${descriptors} descriptors`,
  ).join('; ')
}

function sampleOf(name: string, pid: number, kind: ProcessKind): HealthSample {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
    return { pid, kind, residentBytes: kilobytes * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    demand(false, 'process_ended', name)
  }
}

function megabytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(1)
}
