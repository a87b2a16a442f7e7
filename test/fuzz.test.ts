import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { fuzzInChild } from './fuzz/child.ts'
import { describeBiOracle } from './fuzz/self-test/bi.ts'
import { describeCampaign } from './fuzz/self-test/campaign.ts'
import { describeFilesOracle } from './fuzz/self-test/files.ts'
import { describeFindings } from './fuzz/self-test/findings.ts'
import { describeHsmOracle } from './fuzz/self-test/hsm.ts'
import { DEFAULT_COUNTS, type TargetName, TARGETS } from './fuzz/targets.ts'

/** The fuzzer itself (docs: `npm run fuzz -- --help`) with a twentieth of its cases, and whether it would see what is wrong. */

const FIXED_SEEDS = [1, 20_261_121]
const FRESH_SEED = randomInt(2 ** 32)
const SHARE = 1 / 20
/** Of the cases of a target, for each of the seeds; the last is the fresh one. */
const SHARES = [0.4, 0.4, 0.2]
const TIMEOUT_MS = 900_000

describe('fuzzing', () => {
  test.each<TargetName>([...TARGETS])(
    '%s: nothing to object to',
    async (target) => {
      const count = DEFAULT_COUNTS[target] * SHARE
      const seeds = [...FIXED_SEEDS, FRESH_SEED]
      const runs = seeds.map((seed, index) => ({ seed, first: 0, count: Math.round(count * (SHARES[index] ?? 0)) }))
      console.log(`fuzzing ${target}, fresh seed ${FRESH_SEED}`)
      const report = await fuzzInChild(target, runs)
      console.log(`${target}: ${report.cases} cases in ${report.seconds.toFixed(1)} s\n${report.answers}`)
      expect(report.failures).toEqual([])
      expect(report.cases).toBe(count)
    },
    TIMEOUT_MS,
  )
})

describeCampaign()
describeBiOracle()
describeHsmOracle()
describeFilesOracle()
describeFindings()
