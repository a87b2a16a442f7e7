import { parseDevAddr, parseDevEui } from '@mortise/lorawan'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  ASK_AGAIN_AFTER_MS,
  DeviceSessions,
  KekRing,
  LATE_UPLINKS,
  MAX_F_CNT_GAP,
  MemorySessionStore,
  sessionIdOf,
  type UplinkEvent,
} from '../../src/index.ts'
import { codeOf } from '../errors.ts'
import { DEV_EUI } from './announced.ts'
import { appSKeyOf, crypt, envelopeOf, KEK_2, type Owner, owner, told, uplink } from './owner.ts'

let store: MemorySessionStore
let one: Owner

beforeEach(() => {
  store = new MemorySessionStore()
  one = owner(store)
})

/** The text of a reading, after how it came about; or why there is none. */
async function read(event: UplinkEvent, by: Owner = one): Promise<string> {
  const outcome = await by.sessions.uplink(event)
  if (outcome.kind === 'session_unknown') return outcome.reason
  return `${outcome.kind} ${Buffer.from(outcome.reading.payload).toString()}`
}

/** The same uplink of which the network tells less. */
function without(event: UplinkEvent, ...names: (keyof UplinkEvent)[]): UplinkEvent {
  return Object.fromEntries(Object.entries(event).filter(([name]) => !names.some((one) => one === name))) as UplinkEvent
}

function onAir(event: UplinkEvent & { fCnt: number }): UplinkEvent {
  const { fCnt, ...rest } = event
  return { ...rest, fCnt16: fCnt % 0x10000 }
}

const KEY_MEMBERS = ['appSKey', 'sessionKeyId'] as const

describe('an uplink', () => {
  test('is read with the key that came with the join', async () => {
    await one.sessions.joined(told(1))
    expect(await read(without(uplink(1, 0), 'appSKey'))).toBe('reading open')
    expect(one.joinServer.asked).toEqual([])
  })

  test('names the device, the session, the port and the counter', async () => {
    const { reading } = (await one.sessions.uplink(uplink(1, 70_000))) as { reading: object }
    const again = (await owner(new MemorySessionStore()).sessions.uplink(uplink(1, 70_000))) as { reading: object }
    expect(reading).toMatchObject({ devEui: DEV_EUI, fPort: 2, fCnt: 70_000 })
    expect(again.reading).toEqual(reading)
  })

  test('is read with the key that comes with it, when the join was missed', async () => {
    expect(await read(uplink(1, 12))).toBe('reading open')
  })

  test('is read by its DevAddr when the network names no session, and by the newest of two', async () => {
    const plain = (number: number, fCnt: number) => without(uplink(number, fCnt), ...KEY_MEMBERS)
    expect(await read(plain(1, 0))).toBe('not_announced')
    await one.sessions.joined(without(told(1) as unknown as UplinkEvent, 'sessionKeyId'))
    expect(await read(plain(1, 0))).toBe('reading open')
    await one.sessions.joined(without(told(2) as unknown as UplinkEvent, 'sessionKeyId'))
    expect(await read(plain(2, 0))).toBe('reading open')
    expect(await read({ ...plain(2, 1), devAddr: parseDevAddr('00000001') })).toBe('not_announced')
  })

  test('is given as repeated, with the same reading, when it comes again', async () => {
    expect(await read(uplink(1, 5))).toBe('reading open')
    expect(await read(uplink(1, 5))).toBe('repeated open')
    expect(await read(uplink(1, 7))).toBe('reading open')
    expect(await read(uplink(1, 6))).toBe('reading open')
    expect(await read(uplink(1, 6))).toBe('repeated open')
    expect(await read(uplink(1, 5))).toBe('repeated open')
  })

  test('that comes in several copies at once is one reading, also of two owners’ processes on one store', async () => {
    const other = owner(store)
    const kinds = await Promise.all([one, other, one, other].map((by) => read(uplink(1, 9), by)))
    expect(kinds.toSorted()).toEqual(['reading open', 'repeated open', 'repeated open', 'repeated open'])
  })

  test.each([
    ['the next one', 0xffff, 0x10000],
    ['one after a gap', 0xfff0, 0x10005],
    ['the widest gap', 10, 10 + MAX_F_CNT_GAP],
    ['a late one', 0x10005, 0xfff8],
  ])('with the 16 bits on air alone is read: %s', async (_, last, fCnt) => {
    await read(uplink(1, last))
    expect(await read(onAir(uplink(1, fCnt)))).toBe('reading open')
    expect(await read(onAir(uplink(1, fCnt)))).toBe('repeated open')
  })

  test.each([
    ['too far ahead', 10, 11 + MAX_F_CNT_GAP],
    ['too old', 100, 99 - LATE_UPLINKS],
    ['below zero', 3, 0xfffe],
  ])('with the 16 bits on air alone is refused when it is %s, and changes nothing', async (_, last, fCnt) => {
    await read(uplink(1, last))
    expect(await codeOf(() => one.sessions.uplink(onAir(uplink(1, fCnt))))).toBe('f_cnt_replayed')
    expect(await read(onAir(uplink(1, last + 1)))).toBe('reading open')
  })

  test.each([
    ['FPort 0', { fPort: 0 }, 'f_port_not_application'],
    ['a counter of 33 bits', { fCnt: 2 ** 32 }, 'f_cnt_invalid'],
    ['243 bytes', { frmPayload: Buffer.alloc(243) }, 'payload_size'],
    ['an empty SessionKeyID', { sessionKeyId: new Uint8Array() }, 'session_key_id_size'],
    ['a SessionKeyID of 65 bytes', { sessionKeyId: new Uint8Array(65) }, 'session_key_id_size'],
    ['no time', { timeMs: Number.NaN }, 'time_invalid'],
    ['a key in clear', { appSKey: { kekLabel: '', aesKey: appSKeyOf(1) } }, 'key_in_clear'],
    ['a key of a wrong size', { appSKey: { kekLabel: 'as-1', aesKey: appSKeyOf(1) } }, 'envelope_size'],
    ['a key that does not open', { appSKey: { kekLabel: 'as-1', aesKey: new Uint8Array(24) } }, 'key_wrap_integrity'],
    ['a key under an unknown KEK', { appSKey: envelopeOf(1, 'as-2') }, 'kek_label_unknown'],
  ])('with %s is refused, and changes nothing', async (_, change, code) => {
    expect(await codeOf(() => one.sessions.uplink({ ...uplink(1, 4), ...change }))).toBe(code)
    expect(await read(uplink(1, 4))).toBe('reading open')
  })

  test('is read again when the owner has the KEK of its session', async () => {
    const event = { ...uplink(1, 4), appSKey: envelopeOf(1, 'as-2') }
    expect(await codeOf(() => read(event))).toBe('kek_label_unknown')
    one.kekRing.add('as-2', KEK_2)
    expect(await read(event)).toBe('reading open')
  })

  test('leaves no key in the store but wrapped', async () => {
    await read(uplink(0x5a, 1))
    const kept = JSON.stringify(await store.sessionsOf(DEV_EUI))
    const asKept = (key: Uint8Array) => JSON.stringify({ key: Uint8Array.from(key) }).slice(8, 60)
    expect(kept).toContain(asKept(envelopeOf(0x5a).aesKey))
    expect(kept).not.toContain(asKept(appSKeyOf(0x5a)))
  })
})

describe('a new session', () => {
  test('takes over with its first uplink; the old one is read until then, and what comes late of it', async () => {
    await one.sessions.joined(told(1))
    await read(uplink(1, 4))
    await one.sessions.joined(told(2))
    expect(await read(uplink(1, 5))).toBe('reading open')
    const downlink = () => one.sessions.downlink(DEV_EUI, { fPort: 2, payload: Buffer.from('lock') })
    expect((await downlink()).frmPayload).toEqual(Uint8Array.from(crypt(1, 'down', 0, Buffer.from('lock'))))
    expect(await read(uplink(2, 0))).toBe('reading open')
    expect((await downlink()).frmPayload).toEqual(Uint8Array.from(crypt(2, 'down', 0, Buffer.from('lock'))))
    expect(await read(uplink(1, 6))).toBe('reading open')
    expect((await downlink()).fCnt).toBe(1)
  })

  test('is not taken for the newer one when its events come late', async () => {
    await read(uplink(2, 0))
    await one.sessions.joined(told(1))
    expect(await read(uplink(1, 0))).toBe('reading open')
    expect((await one.sessions.downlink(DEV_EUI, { fPort: 2, payload: Buffer.from('x') })).frmPayload).toEqual(
      Uint8Array.from(crypt(2, 'down', 0, Buffer.from('x'))),
    )
  })

  test('that was replaced eight sessions ago is not read any more', async () => {
    for (let number = 1; number <= 9; number++) await read(uplink(number, 0))
    expect(await read(uplink(1, 0))).toBe('superseded')
    expect(await read(uplink(2, 1))).toBe('reading open')
  })
})

describe('a session without a key', () => {
  const keyless = (number: number, fCnt: number) => without(uplink(number, fCnt), 'appSKey')

  test('is asked for at the join server, once', async () => {
    expect(await Promise.all([0, 1, 2].map((fCnt) => read(keyless(7, fCnt))))).toEqual(Array(3).fill('reading open'))
    expect(await read(keyless(7, 3))).toBe('reading open')
    expect(one.joinServer.asked).toEqual(['07'])
    expect(await read(keyless(7, 4), owner(store))).toBe('reading open')
  })

  test.each([
    ['refuse', 'request_refused'],
    ['unreachable', 'connection'],
  ] as const)('is asked for again a minute after the join server was to %s', async (outcome, code) => {
    one.joinServer.outcome = outcome
    expect(await Promise.all([read(keyless(7, 0)), read(keyless(7, 1))])).toEqual(['no_key', 'no_key'])
    expect(await one.sessions.uplink(keyless(7, 1))).toMatchObject({ reason: 'no_key', error: { code } })
    one.joinServer.outcome = 'answer'
    one.nowMs += ASK_AGAIN_AFTER_MS - 1
    expect(await read(keyless(7, 1))).toBe('no_key')
    expect(await read(keyless(8, 1))).toBe('reading open')
    expect(one.joinServer.asked).toEqual(['07', '08'])
    one.nowMs += 1
    expect(await read(keyless(7, 1))).toBe('reading open')
    expect(one.joinServer.asked).toEqual(['07', '08', '07'])
  })

  test('is read at once when its key comes with an event after all', async () => {
    one.joinServer.outcome = 'refuse'
    expect(await read(keyless(7, 0))).toBe('no_key')
    expect(await read(uplink(7, 0))).toBe('reading open')
    expect(await read(keyless(7, 1))).toBe('reading open')
  })

  test('stays unread where there is nobody to ask, or no JoinEUI to name', async () => {
    const alone = new DeviceSessions({ store, kekRing: one.kekRing })
    const missing = { reason: 'no_key', error: { code: 'join_server_missing' } }
    expect(await alone.uplink(keyless(7, 0))).toMatchObject(missing)
    expect(await one.sessions.uplink(without(keyless(8, 0), 'joinEui'))).toMatchObject(missing)
  })
})

describe('a downlink', () => {
  const lock = { fPort: 2, payload: Buffer.from('lock') }

  test('is sealed as lora-packet does it, each under a counter of its own', async () => {
    await read(uplink(1, 0))
    const sent = await Promise.all([0, 0, 4].map((next) => one.sessions.downlink(DEV_EUI, lock, next)))
    expect(sent.map(({ fCnt }) => fCnt)).toEqual([0, 1, 4])
    for (const { fCnt, frmPayload } of sent) {
      expect(frmPayload).toEqual(Uint8Array.from(crypt(1, 'down', fCnt, lock.payload)))
    }
  })

  test('shares no counter with another of the same key, whatever the network calls its session', async () => {
    await read(uplink(1, 0))
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(0)
    await read({ ...uplink(1, 1), sessionKeyId: Uint8Array.of(99), timeMs: 99_000 })
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(1)
    one.kekRing.add('as-2', KEK_2)
    await read({ ...uplink(1, 2), sessionKeyId: Uint8Array.of(98), timeMs: 99_001, appSKey: envelopeOf(1, 'as-2') })
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(2)
    await read(uplink(100, 0))
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(0)
  })

  test('is for the session that came last, also after one whose network had its clock in the future', async () => {
    const future = 8_640_000_000_000_000
    await read({ ...uplink(1, 0), timeMs: future })
    expect((await one.sessions.downlink(DEV_EUI, lock)).session).toBe(sessionIdOf(told(1)))
    one.nowMs += 25 * 3_600_000
    await read({ ...uplink(2, 0), timeMs: one.nowMs })
    expect((await one.sessions.downlink(DEV_EUI, lock)).session).toBe(sessionIdOf(told(2)))
  })

  test('waits for an uplink of its session', async () => {
    expect(await codeOf(() => one.sessions.downlink(DEV_EUI, lock))).toBe('session_unknown')
    await one.sessions.joined(told(1))
    expect(await codeOf(() => one.sessions.downlink(DEV_EUI, lock))).toBe('session_unknown')
    await read(uplink(1, 0))
    expect(await codeOf(() => one.sessions.downlink(parseDevEui('70b3d57ed0000002'), lock))).toBe('session_unknown')
    expect(await codeOf(() => one.sessions.downlink(DEV_EUI, lock))).toBeUndefined()
  })

  test.each([
    ['FPort 0', { ...lock, fPort: 0 }, 0, 'f_port_not_application'],
    ['243 bytes', { ...lock, payload: Buffer.alloc(243) }, 0, 'payload_size'],
    ['a counter of 33 bits', lock, 2 ** 32 + 1, 'f_cnt_invalid'],
    ['counters that are used up', lock, 2 ** 32, 'f_cnt_exhausted'],
  ])('with %s is refused, and uses no counter', async (_, clear, next, code) => {
    await read(uplink(1, 0))
    expect(await codeOf(() => one.sessions.downlink(DEV_EUI, clear, next))).toBe(code)
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(0)
  })

  test('uses no counter without its KEK', async () => {
    await read(uplink(1, 0))
    const keyless = new DeviceSessions({ store, kekRing: new KekRing() })
    expect(await codeOf(() => keyless.downlink(DEV_EUI, lock))).toBe('kek_label_unknown')
    expect((await one.sessions.downlink(DEV_EUI, lock)).fCnt).toBe(0)
  })
})

describe('an AppSKey that the network tells with the events of another device', () => {
  const other = { ...uplink(7, 1), devEui: parseDevEui('70b3d57ed0ffffff'), sessionKeyId: Uint8Array.of(9) }

  test('is taken at its word, where it may be', async () => {
    expect(await read(other)).toBe('reading open')
    expect(one.joinServer.asked).toEqual([])
  })

  test('is not looked at, where the join server gives the keys', async () => {
    const careful = owner(new MemorySessionStore(), 'join-server')
    expect(await read(uplink(7, 1), careful)).toBe('reading open')
    expect(await read(uplink(7, 2), careful)).toBe('reading open')
    // The join server gives the key of that device and session, under which these bytes say nothing.
    expect(await read(other, careful)).not.toBe('reading open')
    expect(careful.joinServer.asked).toEqual(['07', '09'])
    const unnamed = { ...without(uplink(8, 1), 'sessionKeyId'), devEui: parseDevEui('70b3d57ed0fffffe') }
    expect(await read(unnamed, careful)).toBe('not_announced')
    expect(await read(unnamed)).toBe('reading open')
  })
})
