import { expect, test } from 'vitest'
import { runLorawanVectors } from './published-vectors.ts'

// RFC 4493 §4, example 1.
const RIGHT = {
  id: 'right',
  kind: 'aesCmac',
  inputs: { key: '2b7e151628aed2a6abf7158809cf4f3c', message: '' },
  expected: { cmac: 'bb1d6929e95937287fa37d129b756746' },
}

test('the vector runner passes what is right and nothing else', () => {
  const report = runLorawanVectors({
    vectors: [
      RIGHT,
      { ...RIGHT, id: 'wrong value', expected: { cmac: 'bb1d6929e95937287fa37d129b756747' } },
      { ...RIGHT, id: 'another name', expected: { mic: RIGHT.expected.cmac } },
      { ...RIGHT, id: 'no expectation', expected: {} },
      { ...RIGHT, id: 'input missing', inputs: { key: RIGHT.inputs.key } },
      { ...RIGHT, id: 'unknown kind', kind: 'none' },
      { ...RIGHT, id: 'deviation', kind: 'rejoinKeysNonSpec' },
    ],
  })
  expect(report.passed).toEqual(['right'])
  expect(report.failed.map(({ id }) => id)).toEqual([
    'wrong value',
    'another name',
    'no expectation',
    'input missing',
    'unknown kind',
  ])
  expect(report.excluded.map(({ id }) => id)).toEqual(['deviation'])
})
