import { setTimeout as delay } from 'node:timers/promises'
import type { FleetDevice } from './fleet.ts'
import type { Load } from './load.ts'
import type { Orders } from './orders.ts'
import type { Random } from './random.ts'
import type { Recovery } from './recovery.ts'
import type { Step, Victim } from './schedule.ts'
import type { Service } from './service.ts'

const RECOVERY_TIMEOUT_MS = 30_000
const UNSEALING_TIMEOUT_MS = 5000
const PROCESS_POLL_MS = 10
/** Devices whose last join and newest session are asked for again after each restart of the server. */
const SAMPLE = 3

export interface KillerOptions {
  readonly service: Service
  readonly load: Load
  readonly orders: Orders
  readonly recovery: Recovery
  readonly fleet: readonly FleetDevice[]
  readonly random: Random
  /** Called after each kill. */
  readonly killed: () => void
}

/** Carries out a schedule of kills. */
export class Killer {
  readonly #options: KillerOptions
  #stopped = false

  constructor(options: KillerOptions) {
    this.#options = options
  }

  async run(schedule: readonly Step[]): Promise<void> {
    for (const step of schedule) {
      await this.#await(step)
      if (this.#stopped) return
      await this.#kill(step)
    }
    await this.#recovered()
  }

  /** Lets the present step be the last. */
  stop(): void {
    this.#stopped = true
  }

  async #kill({ victim, workers }: Step): Promise<void> {
    const { service, recovery, random, killed } = this.#options
    const atMs = performance.now()
    const actual = await service.kill(victim, workers, random)
    recovery.killed(actual, atMs)
    killed()
    if (actual === 'server' || actual === 'everything') this.#options.load.verifySoon(this.#sample())
  }

  async #await({ victim, moment, delayMs }: Step): Promise<void> {
    switch (moment) {
      case 'load':
        await this.#recovered()
        break
      case 'order':
        await this.#recovered()
        await this.#options.orders.begin()
        break
      case 'unsealing':
        await this.#unsealing(victim)
        break
      case 'again':
      case 'start-up':
        break
    }
    await delay(delayMs)
  }

  async #recovered(): Promise<void> {
    if (await this.#options.recovery.recovered(RECOVERY_TIMEOUT_MS)) return
    throw new Error(`no join was answered within ${RECOVERY_TIMEOUT_MS} ms:\n${this.#options.service.describe()}`)
  }

  /** Waits until the supervisor has been started, which opens the store next, or a worker, which then tests its keys. */
  async #unsealing(victim: Victim): Promise<void> {
    const deadline = performance.now() + UNSEALING_TIMEOUT_MS
    const started = (): boolean => {
      const { supervisor, workers } = this.#options.service.hsmProcesses
      return victim === 'worker' ? workers.length > 0 : supervisor !== undefined
    }
    while (!started() && performance.now() < deadline) await delay(PROCESS_POLL_MS)
  }

  #sample(): FleetDevice[] {
    const { fleet, random } = this.#options
    return Array.from({ length: SAMPLE }, () => random.pick(fleet)).filter((device) => device !== undefined)
  }
}
