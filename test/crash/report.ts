import type { Backend } from '../support/installation.ts'
import type { Counts } from './model.ts'
import type { ChainSummary } from './receipt-chains.ts'
import { quantile, type Recovery } from './recovery.ts'
import { VICTIMS } from './schedule.ts'
import type { Violation } from './violations.ts'

/** What a run of kills came to. */
export interface CrashReport {
  readonly backend: Backend
  readonly seed: number
  readonly seconds: number
  readonly devices: number
  readonly counts: Counts
  readonly recovery: Pick<Recovery, 'kills' | 'timesMs' | 'allKills'>
  readonly orders: {
    readonly submitted: number
    readonly acknowledged: number
    /** Refused at once, by code. */
    readonly refused: ReadonlyMap<string, number>
    readonly stored: number
  }
  readonly chains: ChainSummary
  /** How often SoftHSM2 was killed while its token had nothing in it. */
  readonly tokensRestored: number
  readonly violationCount: number
  readonly violations: readonly Violation[]
}

const MAX_LISTED = 50

/** The report as text for a terminal. */
export function reportText(report: CrashReport): string {
  const { backend, seed, seconds, devices, counts, recovery, orders, chains } = report
  const kills = recovery.allKills
  return [
    `${backend}, seed ${seed}: ${kills} kills in ${seconds.toFixed(0)} s (${(seconds / Math.max(1, kills)).toFixed(2)} s each), ${devices} devices`,
    '',
    'victim       kills   recovered   p50 ms   p99 ms   max ms',
    ...VICTIMS.map((victim) => {
      const times = recovery.timesMs[victim]
      const cells = [recovery.kills[victim], times.length, ...[0.5, 0.99, 1].map((part) => quantile(times, part))]
      const widths = [5, 11, 8, 8, 8]
      return [victim.padEnd(12), ...cells.map((cell, index) => cell.toFixed(0).padStart(widths[index] ?? 0))].join(' ')
    }),
    '',
    ...table([
      ['joins answered', counts.joins],
      ['duplicates answered the same', counts.duplicates],
      ['replays refused', counts.replays],
      ['requests without an answer or a decision', counts.unanswered],
      ['… settled by asking again', counts.settled],
      ['AppSKeys released', counts.appSKeys],
      ['orders submitted', orders.submitted],
      ['… acknowledged', orders.acknowledged],
      ['… stored and settled', orders.stored],
      ['receipts', chains.receipts],
      ['receipt chains', chains.chains],
      ['… without closing head after a crash of the HSM process', chains.open],
      ['tokens that SoftHSM2 left empty, put back', report.tokensRestored],
    ]),
    ...[...orders.refused].map(([code, count]) => `orders refused at once: ${count} x ${code}`),
    ...[...counts.undecidedBy].map(([reason, count]) => `undecided: ${count} x ${reason}`),
    '',
    `violations: ${report.violationCount}`,
    ...report.violations.slice(0, MAX_LISTED).map(({ kind, detail }) => `  ${kind}: ${detail}`),
  ].join('\n')
}

function table(rows: readonly (readonly [string, number])[]): string[] {
  return rows.map(([name, value]) => `${name.padEnd(56)} ${String(value).padStart(8)}`)
}
