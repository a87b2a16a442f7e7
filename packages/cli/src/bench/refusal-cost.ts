import type { LoadProcess } from './load-process.ts'
import { type ProcessGroup, readGroup } from './processes.ts'

/** What the server's processes spend on a join, and on a refusal for want of room. */
export interface RefusalCost {
  readonly joinCpuMicroseconds: number
  readonly joinsPerSecond: number
  /** Requests under way at once, to have some of them refused. */
  readonly flood: number
  readonly refusalsPerSecond: number
  /** Joins that went on meanwhile. */
  readonly joinsPerSecondInFlood: number
  /** What is left of the CPU time when that of the joins is taken away; undefined when nothing was refused. */
  readonly refusalCpuMicroseconds: number | undefined
}

const SECONDS = 4
const WARM_UP_SECONDS = 1
const CONNECTIONS = 64
/** More than the server lets be in flight. */
const FLOOD = 3000
/** A server that is busy takes its time until so many connections are there. */
const MAX_WARM_UPS = 60

/** First joins alone, then as many requests at once as cannot all be admitted. */
export async function measureRefusals(
  load: LoadProcess,
  groups: readonly ProcessGroup[],
  devices: number,
): Promise<RefusalCost> {
  const calm = await measureFlood(load, groups, Math.min(CONNECTIONS, devices))
  const flood = await measureFlood(load, groups, Math.min(FLOOD, devices))
  const joinCpuMicroseconds = (1e6 * calm.cpuSeconds) / Math.max(1, calm.joins)
  const rest = 1e6 * flood.cpuSeconds - flood.joins * joinCpuMicroseconds
  return {
    joinCpuMicroseconds,
    joinsPerSecond: calm.joins / calm.seconds,
    flood: flood.connected,
    refusalsPerSecond: flood.refused / flood.seconds,
    joinsPerSecondInFlood: flood.joins / flood.seconds,
    // Joins among many others cost a little more than alone: what they do is counted here too.
    refusalCpuMicroseconds: flood.refused === 0 ? undefined : Math.max(0, rest / flood.refused),
  }
}

interface Flood {
  readonly joins: number
  readonly refused: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly connected: number
}

async function measureFlood(load: LoadProcess, groups: readonly ProcessGroup[], connections: number): Promise<Flood> {
  const cpuSeconds = () => groups.reduce((sum, group) => sum + readGroup(group).cpuSeconds, 0)
  await load.start({ connections, connect: 'kept-alive', idleConnections: 0, rate: undefined })
  for (let warmUp = 0, connected = 0; connected < connections && warmUp < MAX_WARM_UPS; warmUp++)
    ({ connected } = await load.window(WARM_UP_SECONDS))
  const before = cpuSeconds()
  const { answered, refused, seconds, connected } = await load.window(SECONDS)
  const used = cpuSeconds() - before
  await load.end()
  return { joins: answered - refused, refused, seconds, cpuSeconds: used, connected }
}
