import { describe, expect, test } from 'vitest'
import { isUsableTopic, matchesFilter } from '../src/topic.ts'

describe('a topic', () => {
  test.each([
    '',
    '$SYS/broker',
    '$CONTROL/dynamic-security/v1',
    'a/+/b',
    'a/#',
    'a\nb',
    'a\0b',
    'a\u2028b',
    'a\ud800',
    'ü'.repeat(513),
  ])('%j cannot be published to', (topic) => {
    expect(isUsableTopic(topic)).toBe(false)
    expect(isUsableTopic('a/$b/c')).toBe(true)
  })

  test.each([
    ['a/b/c', 'a/b/c', true],
    ['a/b/c', 'a/+/c', true],
    ['a/b/c', '#', true],
    ['a/b/c', 'a/#', true],
    ['a', 'a/#', true],
    ['/a', '+/a', true],
    ['a/', 'a/+', true],
    ['a/b', '$share/bridges/a/+', true],
    ['a/b/c', 'a/b', false],
    ['a/b', 'a/b/c', false],
    ['a/b', 'a/b/c/#', false],
    ['b/a', 'a/#', false],
    ['a/b/d', 'a/+/c', false],
    ['a/b/c', 'a/+', false],
    ['b/a', '$share/bridges/a/+', false],
  ])('%s and the filter %s: %s', (topic, filter, matches) => {
    expect(matchesFilter(topic, filter)).toBe(matches)
  })
})
