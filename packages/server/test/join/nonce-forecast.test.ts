import { describe, expect, test } from 'vitest'
import { addDevNonce, type DevNonceRule } from '../../src/join/dev-nonces.ts'
import { forecastNonces, type NonceFacts, type NonceState } from '../../src/join/nonce-forecast.ts'

const NOW = Date.UTC(2026, 5, 1)
const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR
const YEAR = 365.25 * DAY

/** Facts of a device that joined with these DevNonces, a JoinNonce each, added a year ago. */
function factsOf(rule: DevNonceRule, devNonces: readonly number[], change: Partial<NonceFacts> = {}): NonceFacts {
  const history = devNonces.reduce<Buffer | undefined>(
    (before, devNonce) => addDevNonce(before, rule, devNonce),
    undefined,
  )
  const state = history && stateOf(history, devNonces.at(-1) ?? 0, devNonces.length)
  return { rule, state, addedAt: NOW - YEAR, sessionTimes: [], nowMs: NOW, ...change }
}

function stateOf(devNonces: Buffer, devNonce: number, lastJoinNonce: number): NonceState {
  return { lastJoinNonce, devNonces, last: { devNonce, joinedAt: NOW - 7 * DAY } }
}

/** A counter's history, without the joins that led to it. */
function counterAt(last: number, joins: number, change: Partial<NonceFacts> = {}): NonceFacts {
  return { ...factsOf('counter', []), state: stateOf(addDevNonce(undefined, 'counter', last), last, joins), ...change }
}

/** A random device with as many DevNonces as a bitmap of this byte has. */
function bitmapOf(byte: number, joins: number): NonceFacts {
  return { ...factsOf('random', []), state: stateOf(Buffer.concat([Buffer.of(3), Buffer.alloc(8192, byte)]), 0, joins) }
}

function upTo(count: number, step = 1, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + step * index)
}

/** DevNonces that look random; all are different. */
function scattered(count: number): number[] {
  return Array.from({ length: count }, (_, index) => (index * 40_503 + 12_345) & 0xffff)
}

describe('how a device chooses its DevNonces', () => {
  test.each([
    ['a device of 1.0.4 or 1.1', 'counter', [5], 'counter'],
    ['a device that never joined', 'random', [], 'random'],
    ['8 in a row from 0', 'random', upTo(8), 'counter-recognised'],
    ['7 in a row', 'random', upTo(7), 'random'],
    [
      '8 in a row from 255, some of them lost',
      'random',
      [255, 256, 259, 260, 270, 271, 272, 300],
      'counter-recognised',
    ],
    ['8 in a row from 256, where a random start is likelier', 'random', upTo(8, 1, 256), 'random'],
    ['every eighth', 'random', upTo(20, 8), 'counter-recognised'],
    ['every tenth', 'random', upTo(20, 10), 'random'],
    ['many random ones', 'random', scattered(500), 'random'],
    ['a dense set without order, as a poor random source makes it', 'random', upTo(200).reverse(), 'random'],
    ['a counter that began anew', 'random', [...upTo(20, 2), 5], 'random'],
  ] as const)('%s', (_name, rule, devNonces, behaviour) => {
    expect(forecastNonces(factsOf(rule, devNonces)).behaviour).toBe(behaviour)
  })
})

describe('what is left', () => {
  test.each([
    [
      'random, before the first join',
      factsOf('random', []),
      { devNoncesUsed: 0, devNoncesLeft: 65_536, joinsLeft: 65_536 },
    ],
    [
      'a counter, before the first join',
      factsOf('counter', []),
      { devNoncesUsed: 0, devNoncesLeft: 65_536, joinsLeft: 65_536 },
    ],
    ['random', factsOf('random', scattered(3)), { devNoncesUsed: 3, devNoncesLeft: 65_533, joinsLeft: 65_533 }],
    [
      'a counter',
      counterAt(99, 100),
      { devNoncesUsed: 100, devNoncesLeft: 65_436, devNoncesPerJoin: 1, joinsLeft: 65_436 },
    ],
    [
      'a counter that loses two of three',
      counterAt(299, 100),
      { devNoncesLeft: 65_236, devNoncesPerJoin: 3, joinsLeft: 21_745 },
    ],
    [
      'a counter with few numbers for a join',
      counterAt(65_534, 100),
      { devNoncesLeft: 1, devNoncesPerJoin: 655.4, joinsLeft: 1 },
    ],
    ['a counter at its end', counterAt(65_535, 65_536), { devNoncesLeft: 0, joinsLeft: 0 }],
    [
      'recognised, without what it left out',
      factsOf('random', upTo(50, 2)),
      { devNoncesUsed: 50, devNoncesLeft: 65_437, devNoncesPerJoin: 2, joinsLeft: 33_048 },
    ],
    ['few JoinNonces', counterAt(9, 0xffffff - 5), { joinNoncesLeft: 5, joinsLeft: 5 }],
  ])('%s', (_name, facts, expected) => {
    expect(forecastNonces(facts)).toMatchObject(expected)
  })

  test('a random DevNonce hits a used one the more often, the more are used', () => {
    const few = forecastNonces(factsOf('random', scattered(655)))
    const half = forecastNonces(bitmapOf(0x55, 0x8000))
    const all = forecastNonces(bitmapOf(0xff, 0x10000))
    expect(forecastNonces(factsOf('random', []))).toMatchObject({ refusalProbability: 0, triesPerJoin: 1 })
    expect(few).toMatchObject({ refusalProbability: 0.01, triesPerJoin: 1 })
    expect(half).toMatchObject({ refusalProbability: 0.5, triesPerJoin: 2 })
    expect(all).toMatchObject({ refusalProbability: 1, triesPerJoin: undefined, devNoncesLeft: 0 })
  })

  test('a counter has no such chance', () => {
    expect(forecastNonces(counterAt(99, 100))).toMatchObject({ refusalProbability: undefined, triesPerJoin: undefined })
  })
})

describe('how long it lasts', () => {
  const inAnHour = upTo(10).map((index) => NOW - index * 6 * 60 * 1000)

  test('without a join nobody knows', () => {
    expect(forecastNonces(factsOf('random', []))).toMatchObject({ joinsPerYear: undefined, exhaustedAt: undefined })
  })

  test('from the joins since the device was added', () => {
    const forecast = forecastNonces(counterAt(9999, 10_000))
    expect(forecast.joinsPerYear).toBe(10_000)
    expect(forecast.exhaustedAt).toBe(NOW + Math.round((55_536 / 10_000) * YEAR))
    expect(forecast.warnings).toEqual([])
  })

  test('more than 20 years is no date', () => {
    const forecast = forecastNonces(counterAt(99, 100))
    expect(forecast).toMatchObject({ joinsPerYear: 100, exhaustedAt: undefined, warnings: [] })
  })

  test('a device tried out for an hour is no cause for alarm', () => {
    const facts = factsOf('random', scattered(10), { addedAt: NOW - HOUR, sessionTimes: inAnHour })
    expect(forecastNonces(facts)).toMatchObject({ joinsPerYear: 3652.5, warnings: [] })
    const later = factsOf('random', scattered(99), { sessionTimes: inAnHour })
    expect(forecastNonces(later)).toMatchObject({ joinsPerYear: 99, warnings: [] })
  })

  test('a device that joins all the time is', () => {
    const forecast = forecastNonces(factsOf('random', scattered(100), { sessionTimes: inAnHour }))
    expect(forecast.joinsPerYear).toBeCloseTo(9 * 24 * 365.25, 0)
    expect(forecast.warnings).toEqual([
      'at this rate the DevNonces are used up within a year: before then, give the device new root keys',
    ])
  })
})

describe('a warning', () => {
  const forCounter = 'give the device new root keys and another JoinEUI, under which its counter begins at 0 again'

  test.each([
    ['there is none while 10 % are left', counterAt(58_981, 58_982, { addedAt: NOW - 100 * YEAR }), []],
    [
      'below that there is, with what to do',
      counterAt(58_982, 58_983, { addedAt: NOW - 100 * YEAR }),
      [`less than 10 % of the DevNonces are left (6553): before the last, ${forCounter}`],
    ],
    [
      'less than a year',
      counterAt(39_999, 40_000),
      [`at this rate the DevNonces are used up within a year: before then, ${forCounter}`],
    ],
    ['more than a year', counterAt(29_999, 30_000), []],
    ['the end of a counter', counterAt(65_535, 65_536), [`no DevNonce is left: ${forCounter}`]],
    [
      'a random device needs no other JoinEUI',
      bitmapOf(0xff, 0x10000),
      ['no DevNonce is left: give the device new root keys'],
    ],
    [
      'few JoinNonces',
      counterAt(9, 0xffffff - 5, { addedAt: NOW - 100 * YEAR }),
      ['less than 10 % of the JoinNonces are left (5): before the last, give the device new root keys'],
    ],
    ['no JoinNonce', counterAt(9, 0xffffff), ['no JoinNonce is left: give the device new root keys']],
  ])('%s', (_name, facts, warnings) => {
    expect(forecastNonces(facts).warnings).toEqual(warnings)
  })

  test('what is used up has been since the last join', () => {
    expect(forecastNonces(counterAt(65_535, 65_536)).exhaustedAt).toBe(NOW - 7 * DAY)
  })
})
