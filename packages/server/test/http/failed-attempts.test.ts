import { describe, expect, it } from 'vitest'
import { FailedAttempts } from '../../src/http/management-api/failed-attempts.ts'

const NOW = 1_800_000_000_000

describe('FailedAttempts', () => {
  it('blocks an address after 30 failures within a minute, and no other', () => {
    const attempts = new FailedAttempts()
    for (let i = 0; i < 29; i++) attempts.add('192.0.2.1', NOW)
    expect(attempts.blockedSeconds('192.0.2.1', NOW)).toBe(0)
    attempts.add('192.0.2.1', NOW + 1000)
    expect(attempts.blockedSeconds('192.0.2.1', NOW + 1000)).toBe(59)
    expect(attempts.blockedSeconds('192.0.2.2', NOW + 1000)).toBe(0)
  })

  it('forgets after a minute', () => {
    const attempts = new FailedAttempts()
    for (let i = 0; i < 30; i++) attempts.add('192.0.2.1', NOW)
    expect(attempts.blockedSeconds('192.0.2.1', NOW + 59_999)).toBe(1)
    expect(attempts.blockedSeconds('192.0.2.1', NOW + 60_000)).toBe(0)
  })

  it('remembers a bounded number of addresses, the latest ones', () => {
    const attempts = new FailedAttempts()
    for (let i = 0; i < 30; i++) attempts.add('first', NOW)
    for (let i = 0; i < 4095; i++) attempts.add(`address ${i}`, NOW)
    expect(attempts.blockedSeconds('first', NOW)).toBe(60)
    attempts.add('one more', NOW)
    expect(attempts.blockedSeconds('first', NOW)).toBe(0)
  })
})
