import { defineConfig } from 'vitest/config'

/** Published vectors of other projects run only where somebody has put them: `MORTISE_VECTORS=DIR npm test`. */
const published = process.env['MORTISE_VECTORS'] === undefined ? [] : ['test/conformance/**/*.test.ts']

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/*.test.ts', ...published],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // The tests wait for processes that they start more than they compute: as many at once as a small machine has cores.
    maxWorkers: 2,
  },
})
