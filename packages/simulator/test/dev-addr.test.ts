import { parseNetId } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { devAddrBlock } from '../src/index.ts'

describe('the DevAddrs of a NetID', () => {
  test.each([
    // Published by The Things Network (000013) and Helium (00003c, c00053).
    ['000013', '26000000', '27ffffff'],
    ['00003c', '78000000', '79ffffff'],
    ['c00053', 'fc014c00', 'fc014fff'],
    // The other types by hand: `type` ones and a zero, NwkID, NwkAddr (TS002 1.0 §13.1).
    ['000000', '00000000', '01ffffff'],
    ['200001', '81000000', '81ffffff'],
    ['400001', 'c0100000', 'c01fffff'],
    ['600002', 'e0040000', 'e005ffff'],
    ['800001', 'f0008000', 'f000ffff'],
    ['a00001', 'f8002000', 'f8003fff'],
    ['e00001', 'fe000080', 'fe0000ff'],
  ])('%s are %s to %s', (netId, first, last) => {
    const block = devAddrBlock(parseNetId(netId))
    expect(block.devAddr(0)).toBe(first)
    expect(block.devAddr(block.size - 1)).toBe(last)
  })
})
