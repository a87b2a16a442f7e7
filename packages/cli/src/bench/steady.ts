import { table } from '../output.ts'
import { generatorGroup, productGroups } from './contenders.ts'
import { type BenchVersion, devicesOf, type JoinBenchOptions } from './join-options.ts'
import { LoadProcess } from './load-process.ts'
import { NETWORK } from './parties.ts'
import { readGroup } from './processes.ts'
import { ServerProcess } from './server-process.ts'
import { type Progress, Workshop } from './workshop.ts'

const SAMPLE_SECONDS = 5
const MIB = 1024 * 1024

/** A few seconds of a long run. */
export interface SteadySample {
  /** Since the load began. */
  readonly seconds: number
  readonly joinsPerSecond: number
  readonly p99Ms: number
  /** Resident memory by role. */
  readonly residentBytes: Readonly<Record<string, number>>
}

export interface SteadyRun {
  readonly macVersion: BenchVersion
  readonly devices: number
  readonly checked: number
  readonly samples: readonly SteadySample[]
  /** Of each process, from the middle of the run to its end: a leak shows here, a cache that fills does not. */
  readonly growthBytesPerMinute: Readonly<Record<string, number>>
}

/** One long run of row (b) at full load. @throws CliError bench_failed, bench_answer_wrong */
export async function benchSteady(options: JoinBenchOptions, seconds: number, progress: Progress): Promise<SteadyRun> {
  const [macVersion = '1.0.4'] = options.macVersion
  const [devices = 0] = devicesOf(options)
  using workshop = new Workshop(options.keep, progress)
  const installation = await workshop.installation('soft', macVersion, devices, [NETWORK])
  await using server = await ServerProcess.start(installation, { cpuProfile: options.cpuProfile })
  await using load = new LoadProcess(installation, 'steady', server.biPort, 'join')
  await load.selfTest()
  const groups = [...productGroups(server), generatorGroup(load)]
  const { connections } = options
  await load.start({ connections, connect: 'kept-alive', idleConnections: 0, rate: undefined })
  const samples: SteadySample[] = []
  const startedAt = performance.now()
  for (let elapsed = 0; elapsed < seconds; ) {
    const window = await load.window(Math.min(SAMPLE_SECONDS, seconds - elapsed))
    elapsed = (performance.now() - startedAt) / 1000
    const residentBytes = Object.fromEntries(groups.map((group) => [group.role, readGroup(group).residentBytes]))
    const sample = {
      seconds: elapsed,
      joinsPerSecond: window.answered / window.seconds,
      p99Ms: window.p99Ms,
      residentBytes,
    }
    samples.push(sample)
    progress(sampleCells(sample).join('  '))
  }
  const checked = await load.stop()
  return { macVersion, devices, checked, samples, growthBytesPerMinute: growth(samples) }
}

/** The slope of a straight line through the samples of the second half (least squares). */
function growth(samples: readonly SteadySample[]): Record<string, number> {
  const late = samples.slice(samples.length >> 1)
  const roles = Object.keys(samples[0]?.residentBytes ?? {})
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const meanTime = mean(late.map(({ seconds }) => seconds))
  const spread = late.reduce((sum, { seconds }) => sum + (seconds - meanTime) ** 2, 0)
  return Object.fromEntries(
    roles.map((role) => {
      const meanBytes = mean(late.map(({ residentBytes }) => residentBytes[role] ?? 0))
      const together = late.reduce(
        (sum, { seconds, residentBytes }) => sum + (seconds - meanTime) * ((residentBytes[role] ?? 0) - meanBytes),
        0,
      )
      return [role, spread === 0 ? 0 : (60 * together) / spread]
    }),
  )
}

export function steadyText({ macVersion, devices, checked, samples, growthBytesPerMinute }: SteadyRun): string {
  const roles = Object.keys(growthBytesPerMinute)
  const slopes = Object.entries(growthBytesPerMinute).map(([role, bytes]) => `${role} ${(bytes / MIB).toFixed(2)}`)
  return [
    `LoRaWAN ${macVersion}, ${devices} devices, soft HSM, full load: ${checked} joins checked`,
    table(['s', 'joins/s', 'p99 ms', ...roles.map((role) => `${role} MiB`)], samples.map(sampleCells)),
    `Growth in the second half, MiB a minute: ${slopes.join(', ')}`,
  ].join('\n')
}

function sampleCells({ seconds, joinsPerSecond, p99Ms, residentBytes }: SteadySample): string[] {
  const memory = Object.values(residentBytes).map((bytes) => (bytes / MIB).toFixed(0))
  return [seconds.toFixed(0), joinsPerSecond.toFixed(0), p99Ms.toFixed(1), ...memory]
}
