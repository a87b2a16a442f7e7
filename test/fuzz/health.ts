import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { demand } from './failure.ts'

/** The processes that are watched, by name: they must live as long as the campaign. */
export type Watched = ReadonlyMap<string, number>

export interface HealthSample {
  readonly pid: number
  readonly residentBytes: number
  readonly descriptors: number
}

export type Health = ReadonlyMap<string, HealthSample>

/**
 * How much more resident memory a process may have at the end than after the warm-up: heaps, allocators and the cache of
 * the database grow to their size. What leaks slowly is seen by the small heap of the server (bi/world.ts), which it fills.
 */
export const MAX_GROWTH_BYTES = 128 * 1024 * 1024
/** Connections that are about to end, and what Node opens when it first needs it. */
const SPARE_DESCRIPTORS = 8
const SETTLE_TIMEOUT_MS = 10_000
const SETTLE_STEP_MS = 50

/** What the kernel says of these processes now. @throws OracleFailure when one is gone */
export function takeHealth(watched: Watched): Health {
  return new Map(Array.from(watched, ([name, pid]) => [name, sampleOf(name, pid)]))
}

/**
 * Compares the end with the beginning: the same processes, and no growth.
 * @param before taken before the first connection, for descriptors
 * @param warm taken after the warm-up, for memory
 * @throws OracleFailure
 */
export function compareHealth(before: Health, warm: Health, after: Health, maxGrowthBytes = MAX_GROWTH_BYTES): void {
  for (const [name, { pid, residentBytes, descriptors }] of after) {
    const first = before.get(name)
    const early = warm.get(name)
    demand(first?.pid === pid && early?.pid === pid, 'process_replaced', `${name} is another process`)
    const growth = residentBytes - early.residentBytes
    demand(growth <= maxGrowthBytes, 'memory_grown', `${name}: ${megabytes(growth)} MB more`)
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

function sampleOf(name: string, pid: number): HealthSample {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
    return { pid, residentBytes: kilobytes * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    demand(false, 'process_ended', name)
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}
