import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { fuzzInChild } from './fuzz/child.ts'
import { describeBiOracle } from './fuzz/self-test/bi.ts'
import { describeDialectOracle } from './fuzz/self-test/bi-dialects.ts'
import { describeRejoinOracle } from './fuzz/self-test/bi-rejoin.ts'
import { describeCampaign } from './fuzz/self-test/campaign.ts'
import { describeFilesOracle } from './fuzz/self-test/files.ts'
import { describeFindings } from './fuzz/self-test/findings.ts'
import { describeHsmOracle } from './fuzz/self-test/hsm.ts'
import { describeHsmRejoinOracle } from './fuzz/self-test/hsm-rejoin.ts'
import { DEFAULT_COUNTS, type TargetName, TARGETS } from './fuzz/targets.ts'

/** The fuzzer itself (docs: `npm run fuzz -- --help`) with a twentieth of its cases, and whether it would see what is wrong. */

const FIXED_SEEDS = [1, 20_261_121]
const FRESH_SEED = randomInt(2 ** 32)
const SHARE = 1 / 20
/** Of the cases of a target, for each of the seeds; the last is the fresh one. */
const SHARES = [0.4, 0.4, 0.2]
const TIMEOUT_MS = 900_000
/** What has to be among the answers, or the cases would be worth little. */
const ACCEPTED: Readonly<Record<TargetName, readonly RegExp[]>> = {
  bi: [
    ...[/Success of JoinReq \d{3}/, /Success of RejoinReq \d{3}/, /Success of AppSKeyReq \d\d/],
    ...[/Success of HomeNSReq \d\d/, /posted \d{3}/],
  ],
  hsm: [/accepted \d{3}/, /accepted rejoin \d{3}/, /rejoin_unsupported \d/],
  'hsm-pkcs11': [/accepted \d\d/, /accepted rejoin \d\d/],
  files: [/ read \d/],
}

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
      for (const answer of ACCEPTED[target]) expect(report.answers).toMatch(answer)
    },
    TIMEOUT_MS,
  )
})

describeCampaign()
describeBiOracle()
describeRejoinOracle()
describeDialectOracle()
describeHsmOracle()
describeHsmRejoinOracle()
describeFilesOracle()
describeFindings()
