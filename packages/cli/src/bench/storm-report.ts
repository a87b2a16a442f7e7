import { table } from '../output.ts'
import type { Machine } from './machine.ts'
import type { StormReport } from './storm-bench.ts'
import type { StormBenchOptions } from './storm-options.ts'
import type { StormResult, StormSecond } from './storm-process.ts'

const MIB = 1024 * 1024
const MAX_LINES = 30

/** Whether every device has joined, and no answer was wrong. */
export function isComplete({ devices, joined, firstWrong }: StormResult): boolean {
  return joined === devices && firstWrong === undefined
}

export function stormText(report: StormReport, options: StormBenchOptions, machine: Machine): string {
  const { storm } = report
  const rate = storm.joined / Math.max(storm.lastJoinSeconds, Number.EPSILON)
  return [
    `${storm.joined} of ${storm.devices} devices joined (LoRaWAN ${options.macVersion}); the last after ` +
      `${storm.lastJoinSeconds.toFixed(1)} s, ${rate.toFixed(0)} joins/s on average`,
    `${storm.transmitted} frames, at most ${storm.mostTransmissions} of one device; answers in time: ` +
      `p50 ${storm.p50Ms.toFixed(0)} ms, p99 ${storm.p99Ms.toFixed(0)} ms, longest ${storm.maxMs.toFixed(0)} ms`,
    '',
    secondsTable(storm.seconds),
    '',
    peersTable(storm),
    '',
    ...outcomes(report),
    '',
    ...stormNotes(options, machine),
  ].join('\n')
}

/** A line for each second, or for some seconds together when there are many. */
function secondsTable(seconds: readonly StormSecond[]): string {
  const width = Math.max(1, Math.ceil(seconds.length / MAX_LINES))
  const rows: string[][] = []
  for (let start = 0; start < seconds.length; start += width) {
    const part = seconds.slice(start, start + width)
    const perSecond = (name: keyof StormSecond) =>
      (part.reduce((sum, second) => sum + second[name], 0) / part.length).toFixed(0)
    rows.push([String(start), perSecond('transmitted'), perSecond('joined'), perSecond('lost')])
  }
  return table(['from second', 'frames/s', 'joins/s', 'lost/s'], rows)
}

function peersTable({ peers }: StormResult): string {
  const headings = [
    'network',
    'kind',
    'devices',
    'joined',
    'frames',
    'joins per frame',
    'p50 ms',
    'p99 ms',
    'last join s',
  ]
  return table(
    headings,
    peers.map(({ netId, kind, devices, joined, transmitted, p50Ms, p99Ms, lastJoinSeconds }) => [
      netId,
      kind,
      ...[devices, joined, transmitted].map(String),
      (joined / Math.max(1, transmitted)).toFixed(2),
      p50Ms.toFixed(0),
      p99Ms.toFixed(0),
      lastJoinSeconds.toFixed(1),
    ]),
  )
}

function outcomes({ storm, peaks, overload, processes, refusals }: StormReport): string[] {
  const listed = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  const use = Object.entries(processes).map(
    ([role, { cpuSeconds, residentBytes }]) =>
      `${role} ${cpuSeconds.toFixed(1)} s, ${(residentBytes / MIB).toFixed(0)} MiB`,
  )
  const { refusalCpuMicroseconds: cost, joinCpuMicroseconds, flood } = refusals
  return [
    `Frames that ended otherwise: ${listed(storm.lost)}`,
    `Highest values of /metrics: ${listed(peaks)}`,
    `Refused for want of room, by /metrics: ${listed(overload)}`,
    `CPU time and resident memory: ${use.join('; ')}`,
    `A join costs the server's processes ${joinCpuMicroseconds.toFixed(0)} µs of CPU time (${refusals.joinsPerSecond.toFixed(0)} joins/s); ` +
      (cost === undefined
        ? `with ${flood} requests under way none was refused`
        : `a refusal ${cost.toFixed(0)} µs: with ${flood} requests under way ${refusals.refusalsPerSecond.toFixed(0)} a second were ` +
          `refused while ${refusals.joinsPerSecondInFlood.toFixed(0)} joins/s went on`),
  ]
}

function stormNotes(options: StormBenchOptions, machine: Machine): string[] {
  const { connections, newConnections, spread, timeScale } = options
  return [
    `Every device transmits at a random moment of the first ${spread} s. A frame without join-accept is repeated after the ` +
      `second window (6 s) and the silence that a duty cycle of 1 % asks for (0.1 % after an hour, 0.01 % after eleven), ` +
      `times 1 to 2 at random; these silences are ${timeScale} times shorter here. As many devices at SF7, SF8, … SF12.`,
    'chirpstack: gives up after 5 s. the-things-stack: gives up after 10 s; after 6 s the answer comes too late for the device.',
    `Each network server has an address of its own, and at most ${connections} connections` +
      (newConnections ? '; those of the-things-stack open one for each request.' : ', kept alive.'),
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.architecture}, Linux ${machine.kernel}; Node ${machine.node}.`,
  ]
}
