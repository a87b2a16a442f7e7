import { describe, expect, test } from 'vitest'
import { reportText } from './crash/report.ts'
import { runCrashes } from './crash/run.ts'
import type { Backend } from './support/installation.ts'

/** The size of continuous integration; `npm run test:long` kills thousands of times. The schedule is always the same. */
const RUNS: readonly { readonly backend: Backend; readonly kills: number; readonly seed: number }[] = [
  { backend: 'soft', kills: 70, seed: 20 },
  { backend: 'pkcs11', kills: 30, seed: 21 },
]
const TIMEOUT_MS = 600_000

describe('kill -9 under load', () => {
  test.each(RUNS)(
    '$kills times, $backend: no acknowledged join is lost, no nonce is used twice',
    async (run) => {
      const report = await runCrashes({ ...run, devices: 150 })
      console.log(reportText(report))
      expect(report.violations).toEqual([])
      expect(report.recovery.allKills).toBe(run.kills)
      // A run in which nothing happened shows nothing.
      const { joins, duplicates, replays, settled, appSKeys } = report.counts
      expect(Math.min(joins, duplicates, replays, settled, appSKeys, report.orders.acknowledged)).toBeGreaterThan(0)
    },
    TIMEOUT_MS,
  )
})
