import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { acceptsDevNonce, addDevNonce, countDevNonces } from '../../src/join/index.ts'

const devNonce = fc.integer({ min: 0, max: 0xffff })

/** A history made of these nonces, each only if the rule accepts it. */
function historyOf(rule: 'random' | 'counter', nonces: readonly number[]): Buffer | undefined {
  let history: Buffer | undefined
  for (const nonce of nonces) if (acceptsDevNonce(history, rule, nonce)) history = addDevNonce(history, rule, nonce)
  return history
}

describe('DevNonce history of random devices (LoRaWAN 1.0.0 to 1.0.3)', () => {
  test('is exactly the set of accepted nonces', () => {
    fc.assert(
      fc.property(fc.array(devNonce, { maxLength: 300 }), fc.array(devNonce, { maxLength: 50 }), (used, probes) => {
        const history = historyOf('random', used)
        const set = new Set(used)
        for (const probe of [...used, ...probes])
          expect(acceptsDevNonce(history, 'random', probe)).toBe(!set.has(probe))
        expect(history === undefined ? 0 : countDevNonces(history)).toBe(set.size)
      }),
    )
  })

  test('forgets none of 65,536, in at most 8 KiB and a byte', () => {
    let history: Buffer | undefined
    // A permutation of all nonces: 40,503 is odd, so it has an inverse modulo 2^16.
    for (let i = 0; i < 0x10000; i += 7) history = addDevNonce(history, 'random', (i * 40_503) & 0xffff)
    expect(history!.length).toBeLessThanOrEqual(8193)
    for (let i = 0; i < 0x10000; i++)
      expect(acceptsDevNonce(history, 'random', (i * 40_503) & 0xffff)).toBe(i % 7 !== 0)
  })

  test('keeps an old nonce out, however many came after it', () => {
    const history = historyOf('random', [17, ...Array.from({ length: 5000 }, (_, i) => 1000 + i)])
    expect(acceptsDevNonce(history, 'random', 17)).toBe(false)
    expect(acceptsDevNonce(history, 'random', 18)).toBe(true)
  })
})

test('a history that grew under the random rule still bounds a counter', () => {
  const list = historyOf('random', [5, 700, 9])
  expect(acceptsDevNonce(list, 'counter', 700)).toBe(false)
  expect(acceptsDevNonce(list, 'counter', 701)).toBe(true)
  const bitmap = historyOf(
    'random',
    Array.from({ length: 5000 }, (_, i) => i),
  )
  expect(acceptsDevNonce(bitmap, 'counter', 4999)).toBe(false)
  expect(acceptsDevNonce(bitmap, 'counter', 5000)).toBe(true)
})

describe('DevNonce history of counter devices (LoRaWAN 1.0.4 and 1.1)', () => {
  test('accepts what is above the last one, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(devNonce, { minLength: 1, maxLength: 50 }), devNonce, (used, probe) => {
        const history = historyOf('counter', used)
        const accepted = used.filter((nonce, index) => used.slice(0, index).every((before) => before < nonce))
        expect(acceptsDevNonce(history, 'counter', probe)).toBe(probe > Math.max(...accepted))
      }),
    )
  })

  test('accepts 0 as the very first, once', () => {
    expect(acceptsDevNonce(undefined, 'counter', 0)).toBe(true)
    expect(acceptsDevNonce(addDevNonce(undefined, 'counter', 0), 'counter', 0)).toBe(false)
  })

  test('ends at 65,535', () => {
    const history = addDevNonce(undefined, 'counter', 0xffff)
    expect(acceptsDevNonce(history, 'counter', 0xffff)).toBe(false)
    expect(countDevNonces(history)).toBe(0x10000)
  })
})
