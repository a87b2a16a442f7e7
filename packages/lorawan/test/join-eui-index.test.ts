import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EVERY_JOIN_EUI, hasPrefix, JoinEuiIndex, type JoinEuiPrefix, parseJoinEui } from '../src/index.ts'

/** Few bits that differ, so that prefixes of other lengths cover one another. */
const joinEui = fc
  .tuple(fc.bigInt({ min: 0n, max: 15n }), fc.bigInt({ min: 0n, max: 15n }))
  .map(([high, low]) => parseJoinEui(((high << 60n) | low).toString(16).padStart(16, '0')))
const prefix = fc.tuple(joinEui, fc.integer({ min: 0, max: 64 })).map(([one, bits]): JoinEuiPrefix => {
  const rest = BigInt(64 - bits)
  const text = ((BigInt(`0x${one}`) >> rest) << rest).toString(16).padStart(16, '0')
  return { joinEui: parseJoinEui(text), bits }
})

test('finds what a comparison with every prefix finds, the longest first', () => {
  let found = 0
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 20 }), joinEui, (prefixes, wanted) => {
      const index = new JoinEuiIndex(prefixes.map((one) => [one, `${one.joinEui}/${one.bits}`]))
      const [longest] = prefixes.filter((one) => hasPrefix(wanted, one)).sort((a, b) => b.bits - a.bits)
      if (longest !== undefined) found += 1
      expect(index.find(wanted)).toBe(longest && `${longest.joinEui}/${longest.bits}`)
    }),
  )
  expect(found).toBeGreaterThan(10)
})

test('has nothing where there is no prefix, and the later of two values for one', () => {
  const some = parseJoinEui('70b3d57ed0000001')
  expect(new JoinEuiIndex([]).find(some)).toBeUndefined()
  const twice = new JoinEuiIndex([
    [EVERY_JOIN_EUI, 'first'],
    [EVERY_JOIN_EUI, 'second'],
  ])
  expect(twice.find(some)).toBe('second')
})
