import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Latencies } from '../../src/index.ts'

test('quantiles are those of the sorted list, however many times were taken', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (times) => {
      const latencies = new Latencies()
      times.forEach((ms) => {
        latencies.add(ms)
      })
      const sorted = times.toSorted((a, b) => a - b)
      expect(latencies.count).toBe(times.length)
      expect(latencies.quantiles([0.5, 1])).toEqual([sorted[Math.ceil(times.length / 2) - 1]!, sorted.at(-1)!])
    }),
  )
})

test('more times than fit at first are kept all the same, and none is a quantile of nothing', () => {
  const latencies = new Latencies()
  expect(latencies.quantiles([0.5])).toEqual([0])
  for (let ms = 1; ms <= 100_000; ms++) latencies.add(ms)
  expect(latencies.quantiles([0.5, 0.99, 1])).toEqual([50_000, 99_000, 100_000])
})
