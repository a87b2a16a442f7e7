import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  EVERY_JOIN_EUI,
  formatJoinEuiPrefix,
  hasPrefix,
  isJoinEuiPrefix,
  parseJoinEui,
  parseJoinEuiPrefix,
} from '../src/index.ts'

const joinEui = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => value.toString(16).padStart(16, '0'))

describe('a prefix of JoinEUIs', () => {
  test.each([
    ['70b3d57ed0000000/40', '70b3d57ed0000000', 40],
    ['70B3D5/24', '70b3d50000000000', 24],
    ['0/0', '0000000000000000', 0],
    ['70b3d57ed0000001/64', '70b3d57ed0000001', 64],
    ['8/1', '8000000000000000', 1],
  ])('%s is read', (text, joinEui, bits) => {
    const prefix = parseJoinEuiPrefix(text)
    expect(prefix).toEqual({ joinEui, bits })
    expect(parseJoinEuiPrefix(formatJoinEuiPrefix(prefix))).toEqual(prefix)
  })

  test.each([
    '',
    '70b3d5',
    '/24',
    '70b3d5/',
    '70b3d5/65',
    '70b3d5/-1',
    '70b3d5/23',
    '70b3d57ed00000000/8',
    'xy/8',
    ' 7/4',
  ])('%j is refused', (text) => {
    expect(() => parseJoinEuiPrefix(text)).toThrow(expect.objectContaining({ code: 'identifier_malformed' }))
    expect(parseJoinEuiPrefix('70b3d5/24').bits).toBe(24)
  })

  test('has the JoinEUIs whose first bits are its own, compared with their binary digits', () => {
    const binary = (text: string) => BigInt(`0x${text}`).toString(2).padStart(64, '0')
    fc.assert(
      fc.property(joinEui, joinEui, fc.integer({ min: 0, max: 64 }), (one, other, bits) => {
        const first = binary(one).slice(0, bits)
        const prefix = parseJoinEui(
          BigInt(`0b${first.padEnd(64, '0')}`)
            .toString(16)
            .padStart(16, '0'),
        )
        expect(isJoinEuiPrefix({ joinEui: prefix, bits })).toBe(true)
        expect(hasPrefix(parseJoinEui(one), { joinEui: prefix, bits })).toBe(true)
        expect(hasPrefix(parseJoinEui(other), { joinEui: prefix, bits })).toBe(binary(other).startsWith(first))
        expect(hasPrefix(parseJoinEui(other), EVERY_JOIN_EUI)).toBe(true)
      }),
    )
  })
})
