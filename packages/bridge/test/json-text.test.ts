import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memberText, replaceMembers } from '../src/json-text.ts'

const objects = fc.dictionary(
  fc.oneof(fc.constantFrom('data', 'object', '__proto__', 'a"b', '}'), fc.string()),
  fc.jsonValue(),
)
const indents = fc.constantFrom(undefined, 1, '\t')

test('members are taken out and put in as JSON.parse sees them, however the text is written', () => {
  fc.assert(
    fc.property(objects, indents, (object, indent) => {
      const text = JSON.stringify(object, undefined, indent)
      const rest = Object.entries(object).filter(([name]) => name !== 'data' && name !== 'object')
      const expected = `{${[...rest, ['data', 'x'] as const].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
      const replaced = replaceMembers(text, ['data', 'object'], { data: '"x"' })
      expect(JSON.stringify(JSON.parse(replaced))).toBe(JSON.stringify(JSON.parse(expected)))
    }),
  )
})

test('the text of a member is its value', () => {
  fc.assert(
    fc.property(objects, fc.jsonValue(), indents, (object, value, indent) => {
      const text = JSON.stringify({ ...object, wanted: value }, undefined, indent)
      expect(JSON.parse(memberText(text, 'wanted') ?? '')).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('of two members of one name the last counts, as in JSON.parse', () => {
  const text = '{"a":{"b":1},"\\u0061":2, "a" : 3 }'
  expect(memberText(text, 'a')).toBe('3')
  expect(replaceMembers(text, ['a'], {})).toBe('{}')
  expect(memberText(text, 'b')).toBeUndefined()
})
