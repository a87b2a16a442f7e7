import { Random } from './random.ts'

/** Who is killed: `mortise serve` alone, all its processes at once, the HSM supervisor, or one of the workers. */
export const VICTIMS = ['server', 'everything', 'supervisor', 'worker'] as const
export type Victim = (typeof VICTIMS)[number]

/**
 * When: under load after the system has recovered, while a signed order is on its way, directly after the kill before,
 * while the processes that the last kill took away start again, or while the sealed store is opened.
 */
export const MOMENTS = ['load', 'order', 'again', 'start-up', 'unsealing'] as const
export type Moment = (typeof MOMENTS)[number]

export interface Step {
  readonly victim: Victim
  readonly moment: Moment
  /** Between what `moment` waits for and the kill. */
  readonly delayMs: number
  /** Workers of the HSM process if this kill makes the server start again. */
  readonly workers: number
}

const VICTIM_WEIGHTS: Readonly<Record<Victim, number>> = { server: 18, everything: 9, supervisor: 18, worker: 55 }
const MOMENT_WEIGHTS: Readonly<Record<Moment, number>> = {
  load: 58,
  order: 14,
  again: 8,
  'start-up': 10,
  unsealing: 10,
}
const MAX_WORKERS = 2

/** The steps that follow from a seed. The first one begins on a system at work. */
export function makeSchedule(seed: number, kills: number): Step[] {
  const random = new Random(seed)
  return Array.from({ length: kills }, (_, index) => {
    const drawn = random.weighted(MOMENT_WEIGHTS)
    const moment = index === 0 ? 'load' : drawn
    const victim = random.weighted(VICTIM_WEIGHTS)
    return { victim, moment, delayMs: delayOf(moment, random), workers: 1 + random.below(MAX_WORKERS) }
  })
}

function delayOf(moment: Moment, random: Random): number {
  switch (moment) {
    case 'load':
      // 20 to 400 ms, more often short: what is under way when a process dies matters, not how long it ran well.
      return 20 + 380 * random.next() ** 2
    case 'order':
      // The order is stored, carried out and adopted within this time.
      return 50 * random.next()
    case 'again':
      return 30 * random.next()
    case 'start-up':
      return 600 * random.next()
    case 'unsealing':
      return 400 * random.next()
  }
}
