import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { extendFCnt, MAX_F_CNT } from '../src/index.ts'
import { uint32 } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'

describe('the full frame counter', () => {
  test.each([
    ['of the first frame is what is on air', undefined, 0, 0],
    ['of the first frame heard may be any', undefined, 0xffff, 0xffff],
    ['goes up by one', 0, 1, 1],
    ['goes up over lost frames', 5, 0x8000, 0x8000],
    ['rolls over', 0xffff, 0, 0x10000],
    ['rolls over with frames lost', 0x1fff0, 0x0005, 0x20005],
    ['keeps its high bits', 0x12345678, 0x5679, 0x12345679],
    ['counts above 2^31', 0x80000000, 0x0001, 0x80000001],
    ['reaches 2^32-1', 0xfffffffe, 0xffff, MAX_F_CNT],
    ['is not to be had for the same frame again', 0x10005, 0x0005, undefined],
    ['is not to be had for the first frame again', 0, 0, undefined],
    ['does not go beyond 2^32-1', 0xffffffff, 0, undefined],
    ['does not begin anew at the end', 0xffff0005, 0x0004, undefined],
  ])('%s', (_, last, fCnt16, full) => {
    expect(extendFCnt(last, fCnt16)).toBe(full)
  })

  test('is found for whatever is sent less than a turn after the last one', () => {
    fc.assert(
      fc.property(uint32, fc.integer({ min: 1, max: 0xffff }), (last, lost) => {
        const sent = last + lost
        expect(extendFCnt(last, sent % 0x10000)).toBe(sent > MAX_F_CNT ? undefined : sent)
      }),
    )
  })

  test('is never the last one or below', () => {
    fc.assert(
      fc.property(uint32, fc.nat(0xffff), (last, fCnt16) => {
        const full = extendFCnt(last, fCnt16)
        expect(full === undefined || (full > last && full % 0x10000 === fCnt16)).toBe(true)
      }),
    )
  })

  test.each([-1, 0x10000, 0.5, Number.NaN])('is not made from %d, which is not on air', (fCnt16) => {
    expect(codeThrownBy(() => extendFCnt(undefined, fCnt16))).toBe('frame_field')
    expect(codeThrownBy(() => extendFCnt(7, fCnt16))).toBe('frame_field')
  })
})
