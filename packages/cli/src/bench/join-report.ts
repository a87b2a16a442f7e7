import { table } from '../output.ts'
import type { RowResult, Scene } from './join-bench.ts'
import { IDLE_CONNECTIONS, type JoinBenchOptions } from './join-options.ts'
import type { Machine } from './machine.ts'
import type { GroupMeasurement, Measurement } from './measure.ts'
import { GENERATOR, SERVER, SUPERVISOR, WORKER } from './pinning.ts'

const MIB = 1024 * 1024
/** Above this share of a core the generator may be what limits the figure. */
const GENERATOR_LIMIT = 0.9
/** With so many cores busy with something else the figures are those of a shared machine. */
const OTHERS_LIMIT = 0.2
const ROLES = [SERVER, SUPERVISOR, WORKER, GENERATOR]

/** The round with the middle rate; its other figures go with it. */
function medianRound({ rounds }: RowResult): Measurement | undefined {
  return rounds.toSorted((a, b) => a.joinsPerSecond - b.joinsPerSecond)[(rounds.length - 1) >> 1]
}

/** Joins a second of one row as a share of another's in the same scene; undefined when one was not measured. */
function rateRatio({ rows }: Scene, row: string, to: string): number | undefined {
  const [rate, other] = [row, to].map((name) => {
    const result = rows.find(({ row }) => row === name)
    return result && medianRound(result)?.joinsPerSecond
  })
  return rate === undefined || other === undefined ? undefined : rate / other
}

/** Whether the generator had so much to do that the figure may be its own. */
function generatorLimits(measurement: Measurement): boolean {
  return (measurement.processes[GENERATOR]?.cores ?? 0) > GENERATOR_LIMIT
}

/** One scene as a table for people. */
export function sceneText(scene: Scene): string {
  const { macVersion, devices, load, databaseBytesPerDevice } = scene
  const bytes = Object.entries(databaseBytesPerDevice).map(([backend, count]) => `${count.toFixed(0)} (${backend})`)
  const headings = ['', '', 'joins/s', 'ratio', 'p50 ms', 'p99 ms', ...ROLES]
  return [
    `LoRaWAN ${macVersion}, ${devices} devices, ${load} load; bytes of database for each device: ${bytes.join(', ')}`,
    table(
      headings,
      scene.rows.map((row) => rowText(scene, row)),
    ),
  ].join('\n')
}

function rowText(scene: Scene, result: RowResult): string[] {
  const { row, title, comparedWith } = result
  const median = medianRound(result)
  if (median === undefined) return [row, `${title}: ${result.notMeasured ?? 'not measured'}`]
  const ratio = rateRatio(scene, row, comparedWith)
  return [
    row,
    title,
    median.joinsPerSecond.toFixed(0),
    ratio === undefined ? '' : `${ratio.toFixed(2)} ${comparedWith}`,
    median.p50Ms.toFixed(2),
    median.p99Ms.toFixed(2),
    ...ROLES.map((role) => groupText(role, median.processes[role])),
  ]
}

function groupText(role: string, use: GroupMeasurement | undefined): string {
  if (use === undefined) return ''
  const warning = role === GENERATOR && use.cores > GENERATOR_LIMIT ? '!' : ''
  const share = `${Math.round(100 * use.cores)}%${warning}`
  return `${use.cpuMicrosecondsPerJoin.toFixed(0)} µs ${share} ${Math.round(use.residentBytes / MIB)} MiB`
}

/** What the tables mean. */
export function notes(options: JoinBenchOptions, machine: Machine, scenes: readonly Scene[]): string[] {
  const memory = `${(machine.memoryBytes / 1024 ** 3).toFixed(0)} GiB`
  return [
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${memory}, ${machine.architecture}, Linux ${machine.kernel}; ` +
      `Node ${machine.node}, OpenSSL ${machine.openssl}, SQLite ${machine.sqlite}.`,
    `Each figure: the round with the middle rate of ${options.rounds}, ${options.seconds} s each, rows in turn. ` +
      `${options.connections} requests under way; half load is paced at half of the full rate just measured.`,
    'Processes: CPU time for each join, share of one core, resident memory (of workers: all of them together).',
    '(a) parses the same JSON and answers a constant JoinAns of the same size: mutual TLS and HTTP, and nothing else. ' +
      'Its TLS options are those of `mortise serve`: the same versions, the same ciphers in the same order, no session is resumed.',
    '(b), (c): `mortise serve` with its HSM process; every answer is durable, and checked as the device, its network ' +
      'and its owner would. Network keys go in clear, AppSKey under a KEK of 256 bits, join-accepts have a CFList.',
    '(d): the code of a worker, in as many processes as (c) has workers, without socket, server or database.',
    ...(options.rows.includes('e')
      ? [
          `(e): every join has a new TCP and TLS connection, left open; up to ${options.idleConnections} stay idle` +
            `${options.idleConnections === IDLE_CONNECTIONS ? ', as The Things Stack leaves them' : ''}.`,
        ]
      : []),
    'Devices share 1,000 root keys, each wrapped once; every device record has its own tag.',
    options.pin
      ? 'Pinned: server and HSM on one core, generator on the other; c1: the worker on that other core, server and ' +
        'generator share the first; d: on the core of that worker.'
      : 'Not pinned: every process runs where the kernel puts it.',
    ...scenes.flatMap(sceneNotes),
  ]
}

function sceneNotes(scene: Scene): string[] {
  const where = `LoRaWAN ${scene.macVersion}, ${scene.devices} devices, ${scene.load} load`
  const workerRow = scene.rows.some(({ row }) => row === 'c1') ? 'c1' : 'c'
  const share = rateRatio(scene, workerRow, 'd')
  const medians = scene.rows.flatMap((result): [string, Measurement][] => {
    const median = medianRound(result)
    return median === undefined ? [] : [[result.row, median]]
  })
  const limited = medians.filter(([, median]) => generatorLimits(median))
  const busiest = Math.max(0, ...medians.map(([, { otherCores }]) => otherCores))
  return [
    ...(share === undefined ? [] : [`${where}: (${workerRow}) does ${share.toFixed(2)} of (d).`]),
    ...medians
      .filter(([row]) => row.startsWith('e'))
      .map(([row, { idleConnections }]) => `${where}: (${row}) had ${idleConnections} idle connections open.`),
    ...limited.map(([row]) => `${where}: warning: the generator limits (${row}); the server could do more.`),
    ...(busiest > OTHERS_LIMIT
      ? [`${where}: warning: other processes kept up to ${busiest.toFixed(1)} cores busy meanwhile.`]
      : []),
  ]
}
