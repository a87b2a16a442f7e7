import { expect, test } from 'vitest'
import { missing, moreThanInFlight, repetitions, usedTwice } from './checks.ts'

const SOUND = [
  { name: 'a', text: '1', life: 0 },
  { name: 'b', text: '2', life: 0 },
  { name: 'a', text: '1', life: 1 },
]

test('an uplink that never arrived is seen', () => {
  expect(missing(new Set(['1', '2']), SOUND)).toEqual([])
  expect(missing(new Set(['1', '2', '3']), SOUND)).toEqual(['3'])
})

test('copies are counted by the life in which they came, and one with another name or content is seen', () => {
  expect(repetitions(SOUND)).toEqual({ perLife: new Map([[1, 1]]), wrong: [] })
  expect(repetitions([...SOUND, { name: 'a', text: '3', life: 1 }]).wrong).toEqual(['a'])
  expect(repetitions([...SOUND, { name: 'c', text: '2', life: 1 }]).wrong).toEqual(['c'])
})

test('a counter that sealed two payloads is seen, and a frame that was sent again is none', () => {
  const one = { counter: 'a 0', frmPayload: '00' }
  expect(usedTwice([one, one, { counter: 'a 1', frmPayload: '01' }])).toEqual([])
  expect(usedTwice([one, { counter: 'a 0', frmPayload: '01' }])).toEqual(['a 0'])
})

test('more repetitions than were in flight are seen, and those that come later are not', () => {
  expect(
    moreThanInFlight(
      new Map([
        [1, 10],
        [2, 8],
      ]),
      10,
    ),
  ).toEqual([])
  expect(moreThanInFlight(new Map([[3, 30]]), 10)).toEqual([])
  expect(
    moreThanInFlight(
      new Map([
        [1, 11],
        [2, 9],
      ]),
      10,
    ),
  ).toEqual([1])
  expect(moreThanInFlight(new Map([[0, 1]]), 10)).toEqual([0])
})
