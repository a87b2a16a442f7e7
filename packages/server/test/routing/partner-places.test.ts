import { describe, expect, test } from 'vitest'
import { FORWARDING_LIMITS } from '../../src/routing/limits.ts'
import { PartnerPlaces } from '../../src/routing/partner-places.ts'

/** How many of `peers` peers, who ask in turn, get one of `wanted` places. */
function take(places: PartnerPlaces, partner: string, peers: number, wanted: number): number {
  return Array.from({ length: wanted }, (_, index) => places.enter(partner, `peer-${index % peers}`)).filter(Boolean)
    .length
}

describe('places of partners', () => {
  test('that three hold for hundreds of peers leave one peer all of a fourth', () => {
    const places = new PartnerPlaces(FORWARDING_LIMITS)
    for (const dead of ['one', 'two', 'three']) expect(take(places, dead, 300, 1000)).toBeGreaterThanOrEqual(32)
    expect(take(places, 'healthy', 1, 100)).toBe(32)
  })

  test('are shared out among the peers of one: who comes later has its share', () => {
    const places = new PartnerPlaces(FORWARDING_LIMITS)
    expect(take(places, 'partner', 1, 100)).toBe(32)
    expect(places.enter('partner', 'later')).toBe(true)
    expect(places.enter('partner', 'peer-0')).toBe(false)
  })

  test('are bounded whoever asks for whomever, and all come back', () => {
    const places = new PartnerPlaces(FORWARDING_LIMITS)
    const asked = Array.from({ length: 2000 }, (_, index) => [`partner-${index}`, `peer-${index}`] as const)
    const held = asked.filter(([partner, peer]) => places.enter(partner, peer))
    expect(held).toHaveLength(FORWARDING_LIMITS.mostAllPlaces)
    expect(take(places, 'partner-0', 1, 1)).toBe(0)
    for (const [partner, peer] of held) places.leave(partner, peer)
    expect(take(places, 'partner-0', 1, 100)).toBe(32)
  })
})
