import { parseJoinEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { adopt, DEV_EUI, JOIN_EUI, newPeer } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** Roaming agreements. */
export function agreements(make: () => StorageUnderTest): void {
  const every = { joinEui: parseJoinEui('0000000000000000'), bits: 0 }
  const scopes = [{ devEui: DEV_EUI }, every, { joinEui: JOIN_EUI, bits: 64 }] as const

  test('agreements are for a device or for JoinEUIs, and go with their network server', async () => {
    using under = make()
    const { administration } = under.storage
    const [one, other] = [newPeer(), newPeer({ id: '000014' })]
    await adopt(under.storage, { kind: 'peer-added', peer: other }, { kind: 'peer-added', peer: one })
    const added = (peerId: Buffer, scope: (typeof scopes)[number]) =>
      ({ kind: 'agreement-added', peerId, scope, addedAt: 7 }) as const
    await adopt(under.storage, ...scopes.map((scope) => added(one.peerId, scope)), added(other.peerId, scopes[0]))
    const rows = scopes.map((scope) => ({ peerId: one.peerId, netId: '000013', scope, addedAt: 7 }))
    const ofOther = { peerId: other.peerId, netId: '000014', scope: scopes[0], addedAt: 7 }
    expect(administration.listAgreements()).toEqual([...rows, ofOther])
    await adopt(under.storage, { kind: 'agreement-removed', peerId: one.peerId, scope: every })
    expect(administration.listAgreements()).toEqual([rows[0], rows[2], ofOther])
    await adopt(under.storage, { kind: 'peer-removed', peerId: one.peerId })
    expect(under.reopen().administration.listAgreements()).toEqual([ofOther])
  })
}
