import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { devNonceRule, MAC_VERSIONS } from '@mortise/lorawan'
import { acceptsDevNonce, addDevNonce, exhaustsDevNonces, summariseDevNonces } from '../../src/join/dev-nonces.ts'
import { SEQUENCES } from './dev-nonce-sequences.ts'

type Rule = ReturnType<typeof devNonceRule>

const MAX_BYTES = 8193
const NUMBERS = 0x10000

/** The stored forms as they are documented, written by nobody's code but this. */
const FORMS = {
  counter: (nonces: readonly number[]) => Buffer.of(1, ...bytes(Math.max(...nonces))),
  list: (nonces: readonly number[]) => Buffer.of(2, ...nonces.toSorted((a, b) => a - b).flatMap(bytes)),
  bitmap: (nonces: readonly number[]) => {
    const bitmap = Buffer.concat([Buffer.of(3), Buffer.alloc(8192)])
    for (const nonce of nonces) bitmap[1 + (nonce >> 3)]! |= 1 << (nonce & 7)
    return bitmap
  },
}

function bytes(nonce: number): number[] {
  return [nonce >> 8, nonce & 0xff]
}

/** A history made of these nonces, each only if the rule accepts it. */
function historyOf(rule: Rule, nonces: Iterable<number>, before?: Buffer): Buffer | undefined {
  let history = before
  for (const nonce of nonces) if (acceptsDevNonce(history, rule, nonce)) history = addDevNonce(history, rule, nonce)
  return history
}

/** All nonces in an order that looks random: a linear congruential generator with full period (Knuth, TAOCP 3.2.1.2). */
function* shuffled(count = NUMBERS, seed = 12_345): Generator<number> {
  for (let nonce = seed; count-- > 0; nonce = (nonce * 25_173 + 13_849) % NUMBERS) yield nonce
}

describe.each(MAC_VERSIONS)('LoRaWAN %s', (version) => {
  test.each(SEQUENCES[version])('$shows', ({ steps }) => {
    const rule = devNonceRule(version)
    let history: Buffer | undefined
    for (const [devNonce, accepted] of steps) {
      expect([devNonce, acceptsDevNonce(history, rule, devNonce)]).toEqual([devNonce, accepted])
      if (accepted) history = addDevNonce(history, rule, devNonce)
    }
  })
})

describe('the history of a random device (LoRaWAN 1.0.0 to 1.0.3)', () => {
  const devNonce = fc.integer({ min: 0, max: 0xffff })
  const run = fc
    .tuple(devNonce, fc.integer({ min: 1, max: 3000 }))
    .map(([first, length]) => Array.from({ length: Math.min(length, NUMBERS - first) }, (_, index) => first + index))
  const scattered = fc
    .tuple(fc.integer({ min: 0, max: 10_000 }), devNonce)
    .map(([count, seed]) => Array.from(shuffled(count, seed)))
  const stride = fc
    .tuple(devNonce, fc.integer({ min: 2, max: 300 }))
    .map(([first, step]) =>
      Array.from({ length: 1 + (((0xffff - first) / step) | 0) }, (_, index) => first + step * index),
    )
  const set = fc
    .array(fc.oneof(fc.array(devNonce, { maxLength: 40 }), run, scattered, stride), { maxLength: 3 })
    .map((parts) => new Set(parts.flat()))

  test('is exactly the set of accepted nonces, from whatever stored form it goes on', () => {
    const form = fc.constantFrom('none', 'list', 'bitmap')
    fc.assert(
      fc.property(set, form, fc.array(devNonce, { maxLength: 40 }), (used, form, more) => {
        // The version before made a list up to 4,096 nonces.
        const start = form === 'none' ? new Set<number>() : used
        const before =
          form === 'none' ? undefined : FORMS[form === 'list' && used.size <= 4096 ? 'list' : 'bitmap']([...used])
        const oracle = new Set(start)
        let history: Buffer | undefined = before
        for (const nonce of more) {
          expect(acceptsDevNonce(history, 'random', nonce)).toBe(!oracle.has(nonce))
          if (!oracle.has(nonce)) history = addDevNonce(history, 'random', nonce)
          oracle.add(nonce)
          expect(history!.length).toBeLessThanOrEqual(MAX_BYTES)
        }
        const members = [...oracle].slice(0, 300)
        for (const probe of [...members, ...members.map((member) => (member + 1) & 0xffff), ...shuffled(100)])
          expect(acceptsDevNonce(history, 'random', probe)).toBe(!oracle.has(probe))
        expect(summariseDevNonces(history)).toEqual(summaryOf(oracle))
      }),
      { numRuns: 150 },
    )
  })

  test('has the same bytes for the same set, in whatever order and form it came', () => {
    fc.assert(
      fc.property(set, devNonce, (used, last) => {
        used.delete(last)
        const [fromList, fromBitmap] = [FORMS.list([...used]), FORMS.bitmap([...used])]
        const histories = [fromList, fromBitmap].map((history) => addDevNonce(history, 'random', last))
        if (used.size <= 300) histories.push(historyOf('random', [last, ...used])!)
        for (const history of histories) expect(history.equals(histories[0]!)).toBe(true)
        expect(histories[0]!.length).toBeLessThanOrEqual(Math.min(FORMS.list([...used, last]).length, MAX_BYTES))
      }),
      { numRuns: 100 },
    )
  })

  test('forgets none of all 65,536 as they come, and is never longer than 8,193 bytes', () => {
    const checkpoints = new Set([10, 1000, 12_000, 40_000, 64_500, NUMBERS])
    const oracle = new Set<number>()
    const kinds: number[] = []
    let history: Buffer | undefined
    let longest = 0
    for (const nonce of shuffled()) {
      if (!acceptsDevNonce(history, 'random', nonce)) throw new Error(`${nonce} was refused`)
      history = addDevNonce(history, 'random', nonce)
      oracle.add(nonce)
      if (acceptsDevNonce(history, 'random', nonce)) throw new Error(`${nonce} was forgotten`)
      longest = Math.max(longest, history.length)
      if (kinds.at(-1) !== history[0]) kinds.push(history[0]!)
      if (checkpoints.has(oracle.size)) expectExactly(history, oracle)
    }
    expect(longest).toBe(MAX_BYTES)
    // A list, steps, the bitmap, and steps again when few are left; which is smaller may change to and fro in between.
    expect(new Set(kinds)).toEqual(new Set([2, 3, 4]))
    expect(kinds.at(-1)).toBe(4)
    expect(history).toHaveLength(5)
    expect(exhaustsDevNonces(history, 'random')).toBe(true)
  })

  test.each([
    ['0', [0], '0401'],
    ['a small number', [5], '0406'],
    ['a number in the middle', [0x1234], '021234'],
    ['the last number', [0xffff], '02ffff'],
    ['two next to each other', [300, 301], '0482' + '2d01'],
    ['three', [300, 301, 302], '04822d' + '0101'],
    ['four', [300, 301, 302, 303], '04822d' + '0003'],
    ['a counter from 0', Array.from({ length: 10 }, (_, index) => index), '04000a'],
    ['a counter from 1', Array.from({ length: 10 }, (_, index) => 1 + index), '04020009'],
    ['a counter with a gap', [0, 1, 2, 3, 7, 8, 9, 10], '040004' + '040003'],
    ['20 far apart', Array.from({ length: 20 }, (_, index) => 3000 * index), '04' + '01' + '9738'.repeat(19)],
  ])('stores %s as documented', (_name, nonces, hex) => {
    expect(historyOf('random', nonces)!.toString('hex')).toBe(hex)
  })

  test('of a device that counts takes 5 bytes at most, up to its last number', () => {
    let history: Buffer | undefined
    for (let nonce = 0; nonce < NUMBERS; nonce++) {
      history = addDevNonce(history, 'random', nonce)
      if (history.length > 5) throw new Error(`${history.length} bytes at ${nonce}`)
    }
    expect(summariseDevNonces(history)).toEqual({ used: NUMBERS, lowest: 0, highest: 0xffff })
  })

  test('shrinks to 5 bytes where a version before made a bitmap of a counter', () => {
    const counted = Array.from({ length: 5000 }, (_, index) => index)
    const history = addDevNonce(FORMS.bitmap(counted), 'random', 5000)
    expect(history.toString('hex')).toBe('0400a709')
    expectExactly(history, new Set([...counted, 5000]))
  })

  test.each([
    ['a kind that is not known yet', '05ffff'],
    ['nothing', ''],
    ['a number out of range', '0484800' + '1'],
    ['a counter that is cut off', '0100'],
  ])('that is %s lets nothing in', (_name, hex) => {
    const history = Buffer.from(hex, 'hex')
    for (const rule of ['random', 'counter'] as const)
      expect(() => acceptsDevNonce(history, rule, 0xfffe)).toThrow('database_corrupt')
    expect(() => addDevNonce(history, 'random', 0xfffe)).toThrow('database_corrupt')
  })

  test('that lost the end of its bitmap refuses what was there', () => {
    const whole = FORMS.bitmap([17])
    expect(acceptsDevNonce(whole, 'random', 0xffff)).toBe(true)
    expect(acceptsDevNonce(whole.subarray(0, 8000), 'random', 0xffff)).toBe(false)
  })
})

describe('the history of a counter device (LoRaWAN 1.0.4 and 1.1)', () => {
  const devNonce = fc.integer({ min: 0, max: 0xffff })

  test('accepts what is above the last one and nothing else, in 3 bytes', () => {
    fc.assert(
      fc.property(fc.array(devNonce, { minLength: 1, maxLength: 50 }), devNonce, (used, probe) => {
        const history = historyOf('counter', used)
        expect(acceptsDevNonce(history, 'counter', probe)).toBe(probe > Math.max(...used))
        expect(history).toHaveLength(3)
      }),
    )
  })

  test('ends at 65,535', () => {
    const history = addDevNonce(undefined, 'counter', 0xfffe)
    expect(exhaustsDevNonces(history, 'counter')).toBe(false)
    expect(acceptsDevNonce(history, 'counter', 0xffff)).toBe(true)
    const ended = addDevNonce(history, 'counter', 0xffff)
    expect(exhaustsDevNonces(ended, 'counter')).toBe(true)
    expect(summariseDevNonces(ended)).toEqual({ used: NUMBERS, lowest: 0, highest: 0xffff })
  })
})

describe('a device that comes back with its keys under another LoRaWAN version', () => {
  test.each(['list', 'bitmap'] as const)('counts on from the highest of its random ones (%s)', (form) => {
    const history = FORMS[form]([5, 700, 9])
    expect(acceptsDevNonce(history, 'counter', 700)).toBe(false)
    expect(acceptsDevNonce(history, 'counter', 701)).toBe(true)
  })

  test('counts on from steps, too, and from an empty bitmap', () => {
    const counted = historyOf(
      'random',
      Array.from({ length: 700 }, (_, index) => index),
    )
    expect(acceptsDevNonce(counted, 'counter', 699)).toBe(false)
    expect(acceptsDevNonce(counted, 'counter', 700)).toBe(true)
    expect(acceptsDevNonce(FORMS.bitmap([]), 'counter', 0)).toBe(true)
  })

  test('keeps what it counted through refused, and nothing more', () => {
    const counter = FORMS.counter([100])
    for (const nonce of [0, 57, 100]) expect(acceptsDevNonce(counter, 'random', nonce)).toBe(false)
    const random = addDevNonce(counter, 'random', 60_000)
    for (const nonce of [0, 57, 100, 60_000]) expect(acceptsDevNonce(random, 'random', nonce)).toBe(false)
    for (const nonce of [101, 59_999, 60_001]) expect(acceptsDevNonce(random, 'random', nonce)).toBe(true)
  })
})

function summaryOf(set: ReadonlySet<number>) {
  const sorted = Array.from(set).sort((a, b) => a - b)
  return { used: set.size, lowest: sorted[0] ?? -1, highest: sorted.at(-1) ?? -1 }
}

/** Asks for every nonce that there is. */
function expectExactly(history: Buffer, oracle: ReadonlySet<number>): void {
  for (let nonce = 0; nonce < NUMBERS; nonce++)
    if (acceptsDevNonce(history, 'random', nonce) === oracle.has(nonce)) throw new Error(`${nonce} of ${oracle.size}`)
}
