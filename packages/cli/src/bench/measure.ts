import type { Layout } from './pinning.ts'
import { type GroupUse, machineCpuSeconds, pinProcess, type ProcessGroup, readGroup } from './processes.ts'

export interface LoadSettings {
  /** Requests under way at once. */
  readonly connections: number
  readonly connect: 'kept-alive' | 'new'
  /** With `new`: so many stay open and idle. */
  readonly idleConnections: number
  /** Requests a second; `undefined`: as many as are answered. */
  readonly rate: number | undefined
}

/** What was answered in a stretch of time. */
export interface LoadWindow {
  readonly seconds: number
  readonly answered: number
  /** Of these, joins that were refused. */
  readonly refused: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** At the end: connections without a request, and all of them. */
  readonly idle: number
  readonly connected: number
}

/** Whoever makes the joins happen. */
export interface Drive {
  start(settings: LoadSettings): Promise<void>
  /** Takes the times of the next seconds. */
  window(seconds: number): Promise<LoadWindow>
  /** Waits for what is under way. Returns how many answers were found right. @throws CliError bench_answer_wrong */
  stop(): Promise<number>
}

/** What is measured as one row. */
export interface Contender {
  readonly row: string
  readonly title: string
  readonly drive: Drive
  readonly connect: 'kept-alive' | 'new'
  readonly groups: readonly ProcessGroup[]
  readonly layout: Layout
  /** The row that it is compared with. */
  readonly comparedWith: string
  /** Whether it can be told how fast to go. */
  readonly paced: boolean
}

export interface GroupMeasurement {
  /** Share of one core: 1 is a core that is busy all the time. */
  readonly cores: number
  readonly cpuMicrosecondsPerJoin: number
  readonly residentBytes: number
  readonly processes: number
}

export interface Measurement {
  readonly joinsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Open connections without a request at the end. */
  readonly idleConnections: number
  /** Joins, warming up included, whose answers were found right. */
  readonly checked: number
  /** Cores that others than these processes kept busy: the rest of the machine, the kernel's own work among it. */
  readonly otherCores: number
  /** By role. */
  readonly processes: Readonly<Record<string, GroupMeasurement>>
}

export interface MeasureOptions {
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly connections: number
  readonly idleConnections: number
  readonly rate: number | undefined
}

const PIN_AGAIN_MS = 100

/** Loads a contender for a while. @throws CliError bench_answer_wrong */
export async function measure(contender: Contender, options: MeasureOptions): Promise<Measurement> {
  const unpin = keepPinned(contender)
  try {
    return await measurePinned(contender, options)
  } finally {
    unpin()
  }
}

async function measurePinned(contender: Contender, options: MeasureOptions): Promise<Measurement> {
  const { drive, connect, groups } = contender
  const { connections, idleConnections, rate } = options
  await drive.start({ connections, idleConnections, rate, connect })
  await warmUp(contender, options)
  const before = readAll(groups)
  const window = await drive.window(options.seconds)
  const after = readAll(groups)
  const checked = await drive.stop()
  const { p50Ms, p99Ms, maxMs, seconds, answered, idle } = window
  const processes = groups.map(({ role }, index): [string, GroupMeasurement] => [
    role,
    groupMeasurement(before.uses[index], after.uses[index], seconds, answered),
  ])
  const ownCores = processes.reduce((sum, [, { cores }]) => sum + cores, 0)
  return {
    joinsPerSecond: answered / seconds,
    ...{ p50Ms, p99Ms, maxMs, idleConnections: idle, checked },
    otherCores: Math.max(0, (after.machine - before.machine) / seconds - ownCores),
    processes: Object.fromEntries(processes),
  }
}

function readAll(groups: readonly ProcessGroup[]): { uses: GroupUse[]; machine: number } {
  return { uses: groups.map(readGroup), machine: machineCpuSeconds() }
}

/** With a new connection for each join also until so many idle ones are open, if the server lets them. */
async function warmUp({ drive, connect }: Contender, options: MeasureOptions): Promise<void> {
  let { idle } = await drive.window(options.warmUpSeconds)
  if (connect === 'kept-alive') return
  while (idle < options.idleConnections) {
    const window = await drive.window(options.warmUpSeconds)
    if (window.idle <= idle) return
    idle = window.idle
  }
}

/** Binds processes to their cores now, and those that take their place as soon as they are there. Returns the end of it. */
function keepPinned({ groups, layout }: Contender): () => void {
  const pinned = new Set<number>()
  const pin = (): void => {
    for (const { role, pids } of groups) {
      const core = layout.get(role)
      if (core === undefined) continue
      for (const pid of pids().filter((pid) => !pinned.has(pid))) {
        pinProcess(pid, core)
        pinned.add(pid)
      }
    }
  }
  if (layout.size === 0) return () => undefined
  pin()
  const timer = setInterval(pin, PIN_AGAIN_MS)
  return () => {
    clearInterval(timer)
  }
}

function groupMeasurement(
  before: GroupUse | undefined,
  after: GroupUse | undefined,
  seconds: number,
  joins: number,
): GroupMeasurement {
  const cpuSeconds = (after?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0)
  return {
    cores: cpuSeconds / seconds,
    cpuMicrosecondsPerJoin: joins === 0 ? 0 : (1e6 * cpuSeconds) / joins,
    residentBytes: after?.residentBytes ?? 0,
    processes: after?.processes ?? 0,
  }
}
