import { describe, expect, test } from 'vitest'
import {
  type DownlinkCounterId,
  LATE_UPLINKS,
  MAX_SESSIONS_PER_DEVICE,
  type SessionId,
  type SessionStore,
  sessionInUse,
} from '../../src/index.ts'
import { codeOf } from '../errors.ts'
import { DEV_EUI, devEui, newSession } from './announced.ts'
import { STORES } from './stores.ts'

const MAX = 0xffff_ffff
const NOW = 1_800_000_000_000
const COUNTER = '00112233445566778899aabbccddeeff' as DownlinkCounterId
const OTHER_COUNTER = '00112233445566778899aabbccddee00' as DownlinkCounterId
const NOBODY = 'ffffffffffffffffffffffffffffffff' as SessionId

async function idsOf(store: SessionStore): Promise<SessionId[]> {
  return (await store.sessionsOf(DEV_EUI)).map((session) => session.id)
}

describe.each(STORES)('a session store in %s', (_, open) => {
  test('gives back what it was told, with counters that have not begun', async () => {
    await using store = await open()
    const session = newSession(1)
    const stored = { ...session, lastFCntUp: undefined, lateFCntUp: 0, seenAtMs: NOW }
    expect(await store.begin(session, NOW)).toEqual(stored)
    expect(await store.sessionsOf(DEV_EUI)).toEqual([stored])
    expect(await store.sessionsOf(devEui(2))).toEqual([])
  })

  test('keeps a session of which little is known, and adds what it hears later, once', async () => {
    await using store = await open()
    const { id, devEui, devAddr, begunAtMs, ...rest } = newSession(5)
    await store.begin({ id, devEui, devAddr, begunAtMs }, NOW)
    expect((await store.sessionsOf(DEV_EUI))[0]).toMatchObject({ id, begunAtMs })
    await store.acceptUplink(id, 3, NOW)
    await store.begin({ id, devEui, devAddr, ...rest, begunAtMs: 4000 }, NOW + 1)
    await store.begin({ ...newSession(9), id, sessionKeyId: Uint8Array.of(9) }, NOW + 2)
    expect(await store.sessionsOf(DEV_EUI)).toEqual([
      { id, devEui, devAddr, ...rest, begunAtMs: 4000, lastFCntUp: 3, lateFCntUp: 0, seenAtMs: NOW },
    ])
  })

  test('tells devices of one DevAddr apart', async () => {
    await using store = await open()
    await store.begin(newSession(1, devEui(1)), NOW)
    await store.begin(newSession(1, devEui(2)), NOW)
    const [one] = await store.sessionsOf(devEui(1))
    const [other] = await store.sessionsOf(devEui(2))
    expect(one?.devAddr).toBe(other?.devAddr)
    expect(await store.acceptUplink(one!.id, 7, NOW)).toBe('accepted')
    expect(await store.acceptUplink(other!.id, 7, NOW)).toBe('accepted')
  })

  test('takes a new session into use with its first uplink, whatever still comes of the old one', async () => {
    await using store = await open()
    const [old, fresh] = [newSession(1), newSession(2)]
    const used = async () => sessionInUse(await store.sessionsOf(DEV_EUI))?.id
    await store.begin(old, NOW)
    expect(await used()).toBeUndefined()
    await store.acceptUplink(old.id, 10, NOW)
    await store.begin(fresh, NOW)
    expect(await used()).toBe(old.id)
    await store.acceptUplink(fresh.id, 0, NOW)
    expect(await used()).toBe(fresh.id)
    expect(await store.acceptUplink(old.id, 11, NOW)).toBe('accepted')
    expect(await used()).toBe(fresh.id)
  })

  test('accepts each uplink once, also one that comes late, and tells why not', async () => {
    await using store = await open()
    const { id } = newSession(1)
    await store.begin(newSession(1), NOW)
    const accept = (fCnt: number) => store.acceptUplink(id, fCnt, NOW)
    expect(await accept(100)).toBe('accepted')
    expect(await accept(100)).toBe('repeated')
    expect(await accept(100 - LATE_UPLINKS)).toBe('accepted')
    expect(await accept(100 - LATE_UPLINKS)).toBe('repeated')
    expect(await accept(99 - LATE_UPLINKS)).toBe('too_old')
    expect(await accept(103)).toBe('accepted')
    expect([await accept(102), await accept(101), await accept(100)]).toEqual(['accepted', 'accepted', 'repeated'])
    expect(await accept(MAX)).toBe('accepted')
    expect([await accept(MAX), await accept(103), await accept(MAX - 1)]).toEqual(['repeated', 'too_old', 'accepted'])
    expect(await store.acceptUplink(NOBODY, 1, NOW)).toBe('session_unknown')
  })

  test('of copies that come at once accepts one', async () => {
    await using store = await open()
    const { id } = newSession(1)
    await store.begin(newSession(1), NOW)
    const answers = await Promise.all(Array.from({ length: 20 }, (_, copy) => store.acceptUplink(id, copy % 4, NOW)))
    expect(answers.filter((answer) => answer === 'accepted')).toHaveLength(4)
  })

  test('gives every downlink counter once, and follows a network that is ahead', async () => {
    await using store = await open()
    const allocate = (atLeast: number, counter = COUNTER) => store.allocateFCntDown(counter, atLeast)
    expect([await allocate(0), await allocate(0), await allocate(5), await allocate(2)]).toEqual([0, 1, 5, 6])
    expect(await allocate(0, OTHER_COUNTER)).toBe(0)
    expect([await allocate(MAX), await allocate(0), await allocate(MAX)]).toEqual([
      MAX,
      'f_cnt_exhausted',
      'f_cnt_exhausted',
    ])
    expect(await allocate(MAX + 1, OTHER_COUNTER)).toBe('f_cnt_exhausted')
    expect(await allocate(0, OTHER_COUNTER)).toBe(1)
  })

  test('keeps 8 sessions of a device, and among them the one in use', async () => {
    await using store = await open()
    const sessions = Array.from({ length: 12 }, (_, number) => newSession(number + 1))
    await store.begin(sessions[0]!, NOW)
    await store.acceptUplink(sessions[0]!.id, 1, NOW)
    for (const session of sessions) await store.begin(session, NOW)
    const kept = [sessions[0]!, ...sessions.slice(-7)].map((session) => session.id).reverse()
    expect(await idsOf(store)).toEqual(kept)
    expect(kept).toHaveLength(MAX_SESSIONS_PER_DEVICE)
  })

  test('does not take a session again that has gone, so that its counters do not begin again', async () => {
    await using store = await open()
    for (let number = 1; number <= 9; number++) {
      await store.begin(newSession(number), NOW)
      await store.acceptUplink(newSession(number).id, 50, NOW)
    }
    expect(await store.begin(newSession(1), NOW)).toBe('superseded')
    expect(await store.acceptUplink(newSession(1).id, 50, NOW)).toBe('session_unknown')
    expect(await store.begin(newSession(10), NOW)).toMatchObject({ id: newSession(10).id })
  })

  test('takes as many devices as it may, and others for those that were forgotten', async () => {
    await using store = await open({ maxDevices: 2 })
    await store.begin(newSession(1, devEui(1)), NOW)
    await store.begin(newSession(1, devEui(2)), NOW + 5)
    const third = () => store.begin(newSession(1, devEui(3)), NOW + 5)
    expect(await codeOf(third)).toBe('store_full')
    expect(await codeOf(() => store.begin(newSession(2, devEui(2)), NOW + 5))).toBeUndefined()
    expect(await store.forgetDevices(NOW)).toBe(0)
    expect(await store.forgetDevices(NOW + 5)).toBe(1)
    expect(await store.sessionsOf(devEui(1))).toEqual([])
    expect(await store.sessionsOf(devEui(2))).toHaveLength(2)
    expect(await codeOf(third)).toBeUndefined()
    expect(await codeOf(() => store.begin(newSession(1, devEui(4)), NOW))).toBe('store_full')
  })

  test('forgets a device after its last uplink, not after its join, and no downlink counter', async () => {
    await using store = await open()
    await store.begin(newSession(1), NOW)
    await store.allocateFCntDown(COUNTER, 41)
    await store.acceptUplink(newSession(1).id, 1, NOW + 100)
    expect(await store.forgetDevices(NOW + 100)).toBe(0)
    expect(await store.forgetDevices(NOW + 101)).toBe(1)
    expect(await store.sessionsOf(DEV_EUI)).toEqual([])
    expect(await store.allocateFCntDown(COUNTER, 0)).toBe(42)
  })
})
