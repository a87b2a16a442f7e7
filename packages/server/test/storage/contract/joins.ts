import { randomBytes } from 'node:crypto'
import { parseDevEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { SESSIONS_KEPT } from '../../../src/storage/index.ts'
import {
  adopt,
  DEV_EUI,
  JOIN_EUI,
  joinOnce,
  keySetOf,
  newDevice,
  newKek,
  nextJoin,
  OTHER_JOIN_EUI,
} from '../fixtures.ts'
import { UNKNOWN_ID, type StorageUnderTest } from './subject.ts'

/** What a join reads: key sets and KEKs. */
export function joinReading(make: () => StorageUnderTest): void {
  test('finds a key set by both EUIs, and by neither alone', async () => {
    using under = make()
    const device = newDevice()
    await adopt(under.storage, device)
    const { joins } = under.storage
    expect(joins.findKeySets(JOIN_EUI, DEV_EUI)).toEqual([
      {
        keySet: expect.any(Number) as number,
        generation: 1,
        record: device.record,
        state: undefined,
      },
    ])
    expect(joins.findKeySets(OTHER_JOIN_EUI, DEV_EUI)).toEqual([])
    expect(joins.findKeySets(JOIN_EUI, parseDevEui('0004a30b001a2b3d'))).toEqual([])
  })

  test('the newest KEK of a recipient has the highest version', async () => {
    using under = make()
    const [second, first, other] = [newKek({ kekVersion: 2 }), newKek(), newKek({ recipient: 'other', kekVersion: 3 })]
    await adopt(under.storage, ...[second, first, other].map((kek) => ({ kind: 'kek-added', kek }) as const))
    const { joins } = under.storage
    expect(joins.newestKek('as', 'as.example')).toEqual(second)
    expect(joins.newestKek('ns', 'as.example')).toBeUndefined()
    expect(joins.findKek(first.kekId)).toEqual(first)
    expect(joins.findKek(UNKNOWN_ID)).toBeUndefined()
    await adopt(under.storage, { kind: 'kek-removed', kekId: second.kekId })
    expect(joins.newestKek('as', 'as.example')).toEqual(first)
  })
}

/** What a join writes: the state of its key set, by compare-and-set, and its session. */
export function joinCommits(make: () => StorageUnderTest): void {
  test('the first join makes the state, the next one replaces it; both survive a reopening', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const first = await joinOnce(under.storage)
    expect(keySetOf(under.storage).state).toMatchObject({
      lastJoinNonce: 1,
      devNonces: first.devNonces,
      last: first.last,
    })
    const second = await joinOnce(under.storage)
    expect(second.last.joinNonce).toBe(2)
    const state = { lastJoinNonce: 2, devNonces: second.devNonces, last: second.last }
    expect(keySetOf(under.storage).state).toMatchObject(state)
    expect(keySetOf(under.reopen()).state).toMatchObject(state)
  })

  test('KEK ids are kept, present or absent', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const join = nextJoin(keySetOf(under.storage))
    const last = { ...join.last, nsKekId: undefined, asKekId: randomBytes(16) }
    await under.storage.joins.commit([{ join: { ...join, last } }])
    expect(keySetOf(under.storage).state?.last).toEqual(last)
  })

  test.each([0, 1])(
    'of two commits on the same JoinNonce (after %i joins) one is lost, its receipt kept',
    async (joined) => {
      using under = make()
      await adopt(under.storage, newDevice())
      for (let i = 0; i < joined; i++) await joinOnce(under.storage)
      const keySet = keySetOf(under.storage)
      const [winner, loser] = [nextJoin(keySet), nextJoin(keySet)]
      const { joins } = under.storage
      const results = await Promise.all([joins.commit([{ join: winner }]), joins.commit([{ join: loser }])])
      expect(results).toEqual([['committed'], ['lost']])
      expect(keySetOf(under.storage).state?.last).toEqual(winner.last)
      expect(joins.findSession(keySet.keySet, loser.last.sessionKeyId)).toBeUndefined()
      expect(under.receipts()).toEqual(expect.arrayContaining([winner.receipt, loser.receipt]))
    },
  )

  test('a commit on an older JoinNonce is lost in a later batch too, and one that takes the new value is not', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const stale = keySetOf(under.storage)
    await joinOnce(under.storage)
    const { joins } = under.storage
    expect(await joins.commit([{ join: nextJoin(stale) }])).toEqual(['lost'])
    expect(await joins.commit([{ join: nextJoin(keySetOf(under.storage)) }])).toEqual(['committed'])
  })

  test('a JoinNonce that does not rise is lost', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    await joinOnce(under.storage)
    const join = nextJoin(keySetOf(under.storage))
    const { joins } = under.storage
    expect(await joins.commit([{ join: { ...join, last: { ...join.last, joinNonce: 1 } } }])).toEqual(['lost'])
    expect(await joins.commit([{ join }])).toEqual(['committed'])
  })

  test.each([0, 1])('a join of a device that was removed meanwhile (after %i joins) is lost', async (joined) => {
    using under = make()
    const device = newDevice()
    await adopt(under.storage, device)
    for (let i = 0; i < joined; i++) await joinOnce(under.storage)
    const decidedOn = keySetOf(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest: device.keyDigest })
    expect(await under.storage.joins.commit([{ join: nextJoin(decidedOn) }])).toEqual(['lost'])
  })

  test(`keeps the newest ${SESSIONS_KEPT} sessions of a key set, and another's untouched`, async () => {
    using under = make()
    const otherDevEui = parseDevEui('0004a30b00ffffff')
    await adopt(under.storage, newDevice(), newDevice({ devEui: otherDevEui }))
    const other = await joinOnce(under.storage, otherDevEui)
    const joined = []
    for (let i = 0; i < SESSIONS_KEPT + 3; i++) joined.push(await joinOnce(under.storage))
    const { keySet } = keySetOf(under.storage)
    expect(under.storage.administration.listSessions(keySet)).toEqual(
      joined
        .slice(3)
        .reverse()
        .map(({ last, sessionRecord }) => ({
          sessionKeyId: last.sessionKeyId,
          joinNonce: last.joinNonce,
          netId: last.netId,
          devAddr: last.devAddr,
          createdAt: last.joinedAt,
          record: sessionRecord,
        })),
    )
    const { joins } = under.storage
    expect(joined.map(({ last }) => joins.findSession(keySet, last.sessionKeyId)?.joinNonce)).toEqual(
      joined.map(({ last }, index) => (index < 3 ? undefined : last.joinNonce)),
    )
    expect(joins.findSession(other.keySet, other.last.sessionKeyId)?.record).toEqual(other.sessionRecord)
    expect(joins.findSession(keySet, other.last.sessionKeyId)).toBeUndefined()
  })
}
