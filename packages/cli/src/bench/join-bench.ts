import { startContenders } from './contenders.ts'
import type { Backend, BenchInstallation } from './installation.ts'
import {
  type BenchVersion,
  devicesOf,
  type JoinBenchOptions,
  type Load,
  withNewConnections,
  withSoft,
  withSoftHsm2,
} from './join-options.ts'
import { type Contender, measure, type Measurement } from './measure.ts'
import { NETWORK } from './parties.ts'
import { type Layouts, layouts } from './pinning.ts'
import { type Progress, Workshop } from './workshop.ts'

/** What was measured of one row in one scene. */
export interface RowResult {
  readonly row: string
  readonly title: string
  readonly comparedWith: string
  /** In the order in which they were measured; none when it was not measured. */
  readonly rounds: readonly Measurement[]
  /** Why it was not. */
  readonly notMeasured?: string
}

/** One LoRaWAN version, one fleet, one load. */
export interface Scene {
  readonly macVersion: BenchVersion
  readonly devices: number
  readonly load: Load
  /** Before the first join, by back end. */
  readonly databaseBytesPerDevice: Readonly<Record<string, number>>
  readonly rows: readonly RowResult[]
}

const MAX_WARM_UP_SECONDS = 1

/** Measures every scene, one after the other. @throws CliError bench_failed, bench_answer_wrong, pin_impossible */
export async function benchJoins(options: JoinBenchOptions, progress: Progress): Promise<Scene[]> {
  const pinned = options.pin ? layouts() : undefined
  using workshop = new Workshop(options.keep, progress)
  const scenes: Scene[] = []
  for (const macVersion of options.macVersion)
    for (const devices of devicesOf(options))
      scenes.push(...(await new FleetBench(options, pinned, workshop, progress, macVersion, devices).run()))
  return scenes
}

/** All loads of one fleet: everything is started once, and takes turns. */
class FleetBench {
  readonly #options: JoinBenchOptions
  readonly #layouts: Layouts | undefined
  readonly #workshop: Workshop
  readonly #progress: Progress
  readonly #macVersion: BenchVersion
  readonly #devices: number
  readonly #fullRates = new Map<string, number>()

  constructor(
    options: JoinBenchOptions,
    pinned: Layouts | undefined,
    workshop: Workshop,
    progress: Progress,
    macVersion: BenchVersion,
    devices: number,
  ) {
    this.#options = options
    this.#layouts = pinned
    this.#workshop = workshop
    this.#progress = progress
    this.#macVersion = macVersion
    this.#devices = devices
  }

  async run(): Promise<Scene[]> {
    const workshop = this.#workshop
    const make = (backend: Backend) => workshop.installation(backend, this.#macVersion, this.#devices, [NETWORK])
    const soft = withSoft(this.#options) ? await make('soft') : undefined
    const wanted = withSoftHsm2(this.#options, this.#devices) && workshop.softHsm2 !== undefined
    const softHsm2 = wanted ? await make('softhsm2') : undefined
    const scenes = await this.#measureAll(soft, softHsm2)
    for (const installation of [soft, softHsm2]) if (installation !== undefined) workshop.discard(installation)
    return scenes
  }

  async #measureAll(soft: BenchInstallation | undefined, softHsm2: BenchInstallation | undefined): Promise<Scene[]> {
    // Before anything has joined.
    const databaseBytesPerDevice = this.#databaseBytesPerDevice([soft, softHsm2])
    await using stack = new AsyncDisposableStack()
    const newConnections = withNewConnections(this.#options, this.#devices)
    const arena = { options: this.#options, layouts: this.#layouts, newConnections, soft, softHsm2, stack }
    const contenders = await startContenders(arena)
    const scenes: Scene[] = []
    for (const load of this.#options.load) {
      const rows = [...(await this.#measureLoad(contenders, load)), ...this.#notMeasured()]
      scenes.push({ macVersion: this.#macVersion, devices: this.#devices, load, databaseBytesPerDevice, rows })
    }
    return scenes
  }

  /** All rows in turn, and again: what disturbs the machine disturbs all of them. */
  async #measureLoad(contenders: readonly Contender[], load: Load): Promise<RowResult[]> {
    const measured = contenders
      .filter(({ paced }) => paced || load === 'full')
      .map((contender) => ({ contender, rounds: [] as Measurement[] }))
    for (let round = 1; round <= this.#options.rounds; round++)
      for (const { contender, rounds } of measured) {
        const scene = `LoRaWAN ${this.#macVersion}, ${this.#devices} devices, ${load} load`
        this.#progress(`${scene}, round ${round} of ${this.#options.rounds}: ${contender.title}`)
        rounds.push(await (load === 'full' ? this.#measureFull(contender) : this.#measureHalf(contender)))
      }
    return measured.map(({ contender: { row, title, comparedWith }, rounds }) => ({ row, title, comparedWith, rounds }))
  }

  async #measureFull(contender: Contender): Promise<Measurement> {
    const measurement = await measure(contender, { ...this.#timing, rate: undefined })
    this.#fullRates.set(contender.row, measurement.joinsPerSecond)
    return measurement
  }

  async #measureHalf(contender: Contender): Promise<Measurement> {
    const full = this.#fullRates.get(contender.row) ?? (await this.#measureFull(contender)).joinsPerSecond
    return await measure(contender, { ...this.#timing, rate: full / 2 })
  }

  get #timing() {
    const { seconds, connections, idleConnections } = this.#options
    return { seconds, warmUpSeconds: Math.min(MAX_WARM_UP_SECONDS, seconds / 2), connections, idleConnections }
  }

  /** Rows that were asked for and cannot be: they are named all the same. */
  #notMeasured(): RowResult[] {
    if (!withSoftHsm2(this.#options, this.#devices) || this.#workshop.softHsm2 !== undefined) return []
    const titles = { c: 'joins, SoftHSM2', d: 'SoftHSM2 alone' } as const
    return (['c', 'd'] as const)
      .filter((row) => this.#options.rows.includes(row))
      .map((row) => ({
        ...{ row, title: titles[row], comparedWith: 'a', rounds: [] },
        notMeasured: 'not measured: softhsm2 is not installed',
      }))
  }

  #databaseBytesPerDevice(installations: readonly (BenchInstallation | undefined)[]): Record<string, number> {
    const made = installations.filter((installation) => installation !== undefined)
    return Object.fromEntries(made.map((one) => [one.plan.backend, one.databaseBytes() / this.#devices]))
  }
}
