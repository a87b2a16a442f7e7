import { expect, test } from 'vitest'
import { rejoinReqCases, sentRejoinReqCases, verifiedJoinReqCases, verifiedMessages } from './published-cases.ts'

test('every verified case with a message is run', () => {
  const run = [...verifiedJoinReqCases(), ...rejoinReqCases(), ...sentRejoinReqCases()].map(({ id }) => id)
  expect(verifiedMessages().length).toBeGreaterThanOrEqual(46)
  const left = verifiedMessages().filter(({ id }) => !run.includes(id))
  expect(left.map(({ id }) => id)).toEqual([])
})
