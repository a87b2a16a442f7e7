import type { Installation, ServerProcess } from '../support/installation.ts'
import { Crowd, footprint } from './crowd.ts'

/** What so many idle connections cost, and that joins go on meanwhile. */
export interface IdleMeasurement {
  readonly connections: number
  readonly openSeconds: number
  readonly handshakesPerSecond: number
  /** Joins of the others included. */
  readonly serverCpuMsPerConnection: number
  readonly residentBytesPerConnection: number
  /** Joins that others made while the connections were opened, while they were held. */
  readonly joinsWhileOpening: number
  readonly joinsWhileHeld: number
  readonly slowestJoinMs: number
  readonly descriptorsBefore: number
  readonly descriptorsHeld: number
  /** When all had been closed again. */
  readonly descriptorsAfter: number
}

export interface IdleOptions {
  readonly connections: number
  readonly processes: number
  /** Makes one join over another connection; rejects when it fails. */
  readonly join: () => Promise<void>
}

/** How often a connection has to be used within its time, however long opening them all takes. */
const TOUCH_MS = 20_000
const CLOSED_WITHIN_MS = 30_000
/** So many commits and more make the server start its thread for checkpoints, which has descriptors of its own. */
const JOINS_BEFORE = 500

/**
 * Opens so many connections of one peer, keeps them, and closes them. The server lets connections stay idle for a minute
 * if they have been used before: so each is used twice, and again from time to time.
 */
export async function holdIdleConnections(
  installation: Installation,
  server: ServerProcess,
  directory: string,
  { connections, processes, join }: IdleOptions,
): Promise<IdleMeasurement> {
  for (let i = 0; i < JOINS_BEFORE; i++) await join()
  const before = footprint(server.pid)
  using crowd = await Crowd.gather(installation, server, directory, processes)
  const joins = { count: 0, slowestMs: 0 }
  const joining = keepJoining(join, joins)
  const started = performance.now()
  const opened = await openAll(crowd, connections)
  const openSeconds = (performance.now() - started) / 1000
  const held = footprint(server.pid)
  const joinsWhileOpening = joins.count
  const { open } = await crowd.touch()
  while (joins.count < joinsWhileOpening + 20) await pause(50)
  await joining.stop()
  await crowd.close()
  const deadline = performance.now() + CLOSED_WITHIN_MS
  while (footprint(server.pid).descriptors > before.descriptors && performance.now() < deadline) await pause(100)
  return {
    connections: Math.min(open, opened),
    openSeconds,
    handshakesPerSecond: opened / openSeconds,
    serverCpuMsPerConnection: (held.cpuMs - before.cpuMs) / opened,
    residentBytesPerConnection: (held.residentBytes - before.residentBytes) / opened,
    joinsWhileOpening,
    joinsWhileHeld: joins.count - joinsWhileOpening,
    slowestJoinMs: joins.slowestMs,
    descriptorsBefore: before.descriptors,
    descriptorsHeld: held.descriptors,
    descriptorsAfter: footprint(server.pid).descriptors,
  }
}

/** In parts, so that the first ones are used again before the last ones are open. */
async function openAll(crowd: Crowd, connections: number): Promise<number> {
  const part = 500
  let touched = performance.now()
  let open = 0
  for (let left = connections; left > 0; left -= part) {
    open = (await crowd.open(Math.min(part, left), 2)).open
    if (performance.now() - touched > TOUCH_MS) {
      await crowd.touch()
      touched = performance.now()
    }
  }
  return open
}

function keepJoining(join: () => Promise<void>, joins: { count: number; slowestMs: number }) {
  let stopped = false
  const loop = async (): Promise<void> => {
    while (!stopped) {
      const started = performance.now()
      await join()
      joins.count += 1
      joins.slowestMs = Math.max(joins.slowestMs, performance.now() - started)
      await pause(20)
    }
  }
  const running = loop()
  // Whoever stops it sees a join that failed.
  running.catch(() => undefined)
  return {
    stop: () => {
      stopped = true
      return running
    },
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
