import { relative } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Published vectors of other projects run only where somebody has put them: `MORTISE_VECTORS=DIR npm test`. */
const published = process.env['MORTISE_VECTORS'] === undefined ? [] : ['test/conformance/**/*.test.ts']

/** Those that take minutes, the longest first: begun last, one of them would run alone at the end. */
const LONGEST = [
  'test/fuzz.test.ts',
  'test/crash.test.ts',
  'test/bench.test.ts',
  'packages/bridge/test/kill/kill.test.ts',
  'packages/cli/test/certificate.test.ts',
  'packages/cli/test/commands.test.ts',
  'test/connections.test.ts',
  'test/start-up.test.ts',
  'test/bad-input.test.ts',
  'packages/cli/test/peer.test.ts',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.indexOf(relative(import.meta.dirname, moduleId))
      return index === -1 ? LONGEST.length : index
    }
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other))
  }
}

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/*.test.ts', ...published],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // The tests wait for processes that they start more than they compute: as many at once as a small machine has cores.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
})
