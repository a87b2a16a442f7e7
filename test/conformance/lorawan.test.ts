import { afterAll, expect, test } from 'vitest'
import { runLorawanVectors } from '../../packages/lorawan/test/published-vectors.ts'
import { readPublished } from './published-cases.ts'

/** Published vectors of `packages/lorawan`, one test each, so that they are counted. */
const { vectors } = readPublished('lorawan.json') as { vectors: readonly { readonly id: string }[] }
const { excluded } = runLorawanVectors({ vectors })
const excludedIds = new Set(excluded.map(({ id }) => id))
const included = vectors.filter(({ id }) => !excludedIds.has(id))
let passed = 0

test.each(included)('$id', (vector) => {
  expect(runLorawanVectors({ vectors: [vector] })).toEqual({ passed: [vector.id], failed: [], excluded: [] })
  passed += 1
})

test('every vector runs, or is left out for a reason', () => {
  expect(excluded.map(({ id }) => id)).toEqual(['DEVIATION-sk11-brocaar-rejoin'])
  expect(included.length + excluded.length).toBe(vectors.length)
  expect(new Set(vectors.map(({ id }) => id)).size).toBe(vectors.length)
})

afterAll(() => {
  const reasons = excluded.map(({ id, reason }) => `\n  excluded ${id}: ${reason}`).join('')
  console.log(`lorawan.json: ${passed} of ${vectors.length} vectors, ${excluded.length} excluded${reasons}`)
})
