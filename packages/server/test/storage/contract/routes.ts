import { parseJoinEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { adopt, newRoute, OTHER_JOIN_EUI } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** Routes to other join servers. */
export function routes(make: () => StorageUnderTest): void {
  test('routes are listed by their prefix, and removed', async () => {
    using under = make()
    const { administration } = under.storage
    const wide = newRoute({ prefix: { joinEui: parseJoinEui('70b3d50000000000'), bits: 24 }, protocol: '1.0' })
    const [narrow, next] = [newRoute(), newRoute({ prefix: { joinEui: OTHER_JOIN_EUI, bits: 64 } })]
    await adopt(under.storage, ...[next, narrow, wide].map((route) => ({ kind: 'route-added', route }) as const))
    expect(administration.listRoutes()).toEqual([wide, narrow, next])
    await adopt(under.storage, { kind: 'route-removed', routeId: narrow.routeId })
    expect(under.reopen().administration.listRoutes()).toEqual([wide, next])
  })
}
