import { setTimeout as delay } from 'node:timers/promises'
import { productGroups } from './contenders.ts'
import { LoadProcess } from './load-process.ts'
import { MetricsProbe } from './metrics-probe.ts'
import { GENERATOR, layouts } from './pinning.ts'
import { type GroupUse, pinProcess, type ProcessGroup, readGroup } from './processes.ts'
import { type RefusalCost, measureRefusals } from './refusal-cost.ts'
import { ServerProcess } from './server-process.ts'
import { type StormBenchOptions, type StormPeerPlan, stormPeers } from './storm-options.ts'
import { StormProcess, type StormResult } from './storm-process.ts'
import { type Progress, Workshop } from './workshop.ts'

/** Everything about one storm. */
export interface StormReport {
  readonly storm: StormResult
  /** The highest value of each gauge that /metrics showed while it lasted. */
  readonly peaks: Readonly<Record<string, number>>
  /** Messages and connections that were refused because there were too many, as /metrics counts them. */
  readonly overload: Readonly<Record<string, number>>
  /** CPU time in seconds and resident memory after it, by role. */
  readonly processes: Readonly<Record<string, Pick<GroupUse, 'cpuSeconds' | 'residentBytes'>>>
  readonly refusals: RefusalCost
}

const PEAKS = ['mortise_messages_in_flight', 'mortise_message_places', 'mortise_hsm_in_flight', 'mortise_connections']
const PROGRESS_MS = 1000
/** The load generator has the same devices: it begins where the storm cannot have come. */
const DEV_NONCE_AFTER_STORM = 30_000

/** @throws CliError bench_failed, bench_self_test_failed, pin_impossible */
export async function benchStorm(options: StormBenchOptions, progress: Progress): Promise<StormReport> {
  const plans = stormPeers(options.peers)
  using workshop = new Workshop(options.keep, progress)
  const networks = plans.map(({ netId }) => netId)
  const installation = await workshop.installation('soft', options.macVersion, options.devices, networks)
  await using server = await ServerProcess.start(installation, { cpuProfile: options.cpuProfile })
  using metrics = new MetricsProbe(installation, server)
  const groups = productGroups(server)
  const { storm, processes } = await runStorm(options, plans, installation, server, groups, progress)
  await metrics.sample()
  const found = { peaks: pick(metrics.highest, PEAKS), overload: labelled(metrics.last, 'mortise_overload_total') }
  progress('the storm is over; measuring what a refusal costs')
  await using load = new LoadProcess(installation, 'refusals', server.biPort, 'join', DEV_NONCE_AFTER_STORM)
  await load.selfTest()
  if (options.pin) pinProcess(load.pid, layouts().product.get(GENERATOR) ?? 0)
  return { storm, ...found, processes, refusals: await measureRefusals(load, groups, options.devices) }
}

async function runStorm(
  options: StormBenchOptions,
  plans: readonly StormPeerPlan[],
  installation: ConstructorParameters<typeof StormProcess>[0],
  server: ServerProcess,
  groups: readonly ProcessGroup[],
  progress: Progress,
): Promise<Pick<StormReport, 'storm' | 'processes'>> {
  await using generator = new StormProcess(installation, server.biPort, plans, options)
  const all = [...groups, { role: GENERATOR, pids: () => [generator.pid] }]
  if (options.pin) pinAll(all)
  // The generator has read its fleet when it answers.
  await generator.joined()
  const before = all.map(readGroup)
  const running = generator.run(options)
  const watch = new AbortController()
  const watching = tellProgress(generator, options.devices, progress, watch.signal)
  const storm = await running.finally(() => {
    watch.abort()
  })
  await watching
  const processes = all.map((group, index): [string, Pick<GroupUse, 'cpuSeconds' | 'residentBytes'>] => {
    const { cpuSeconds, residentBytes } = readGroup(group)
    return [group.role, { cpuSeconds: cpuSeconds - (before[index]?.cpuSeconds ?? 0), residentBytes }]
  })
  return { storm, processes: Object.fromEntries(processes) }
}

async function tellProgress(
  generator: StormProcess,
  devices: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    progress(`${await generator.joined()} of ${devices} devices have joined`)
    await delay(PROGRESS_MS, undefined, { signal }).catch(() => undefined)
  }
}

function pinAll(groups: readonly ProcessGroup[]): void {
  const { product } = layouts()
  for (const { role, pids } of groups) for (const pid of pids()) pinProcess(pid, product.get(role) ?? 0)
}

function pick(values: ReadonlyMap<string, number>, names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...values].filter(([name]) => names.includes(name)))
}

/** The values of one metric, by their labels. */
function labelled(values: ReadonlyMap<string, number>, metric: string): Record<string, number> {
  const prefix = `${metric}{`
  return Object.fromEntries(
    Array.from(values)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length, -1).replaceAll('"', ''), value]),
  )
}
