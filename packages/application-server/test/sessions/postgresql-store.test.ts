import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DownlinkCounterId, PostgresqlSessionStore } from '../../src/index.ts'
import { codeOf } from '../errors.ts'
import { DEV_EUI, devEui, newSession } from './announced.ts'
import { PostgresqlCluster } from './postgresql-cluster.ts'

const COUNTER = '00112233445566778899aabbccddeeff' as DownlinkCounterId
const START_TIMEOUT_MS = 60_000

describe('a PostgreSQL session store', () => {
  let cluster: PostgresqlCluster
  beforeAll(() => {
    cluster = new PostgresqlCluster()
  }, START_TIMEOUT_MS)
  afterAll(() => cluster[Symbol.asyncDispose]())

  const open = (schema: string) => PostgresqlSessionStore.open({ pool: cluster.pool(), schema })

  test('never gives a downlink counter twice, though the server dies and comes back', async () => {
    const used: number[] = []
    for (let round = 0; round < 4; round++) {
      await using store = await open('crashes')
      const enough = used.length + 200
      const workers = Array.from({ length: 4 }, async () => {
        for (;;) used.push(Number(await store.allocateFCntDown(COUNTER, 0)))
      })
      while (used.length < enough) await new Promise(setImmediate)
      cluster.crash()
      const ends = await Promise.allSettled(workers)
      expect(ends.map((end) => end.status === 'rejected' && (end.reason as { code: string }).code)).toEqual(
        Array(4).fill('store_failed'),
      )
      cluster.start()
    }
    expect(new Set(used).size).toBe(used.length)
    expect(Math.max(...used)).toBeLessThan(used.length + 4 * 4)
  })

  test('gives several processes one view: uplinks to one of them, sessions to all, one count of devices', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => open('shared')))
    const sessions = Array.from({ length: 30 }, (_, device) => newSession(1, devEui(device % 10)))
    await Promise.all(sessions.flatMap((session) => stores.map((store) => store.begin(session, 5))))
    const { id, devEui: one } = sessions[0]!
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, copy) => stores[copy % 4]!.acceptUplink(id, copy >> 2, 6)),
    )
    expect(answers.filter((answer) => answer === 'accepted')).toHaveLength(20)
    for (const store of stores) expect(await store.sessionsOf(one)).toMatchObject([{ id, lastFCntUp: 19 }])
    expect(await stores[0]!.forgetDevices(100)).toBe(10)
    const limited = await PostgresqlSessionStore.open({
      pool: cluster.pool(),
      schema: 'shared',
      limits: { maxDevices: 1 },
    })
    expect(await codeOf(() => limited.begin(newSession(1), 5))).toBeUndefined()
    expect(await codeOf(() => limited.begin(newSession(1, devEui(77)), 5))).toBe('store_full')
  })

  test('takes what is announced, accepted and forgotten at once, without waiting for ever', async () => {
    await using store = await open('busy')
    const work = Array.from({ length: 300 }, async (_, step) => {
      const session = newSession(step % 12, devEui(step % 5))
      await store.begin(session, step)
      await store.acceptUplink(session.id, step, step)
      if (step % 20 === 0) await store.forgetDevices(step - 50)
    })
    expect((await Promise.allSettled(work)).filter(({ status }) => status === 'rejected')).toEqual([])
  })

  test('refuses what a later release wrote, a name that is none, and a server that does not wait for its disk', async () => {
    expect(await codeOf(() => open('later'))).toBeUndefined()
    const pool = cluster.pool()
    await pool.query('UPDATE later.version SET version = 99')
    expect(await codeOf(() => open('later'))).toBe('store_newer')
    expect(await codeOf(() => open('a; DROP SCHEMA later'))).toBe('store_failed')
    cluster.crash()
    cluster.start('-c fsync=off')
    expect(await codeOf(() => open('forgetful'))).toBe('store_not_durable')
    cluster.crash()
    cluster.start()
    expect(await codeOf(() => open('forgetful'))).toBeUndefined()
  })

  test('that was closed, or whose server is gone, says so, and the pool serves on', async () => {
    const pool = cluster.pool()
    const store = await PostgresqlSessionStore.open({ pool })
    await store.begin(newSession(1), 7)
    cluster.crash()
    expect(await codeOf(() => store.sessionsOf(DEV_EUI))).toBe('store_failed')
    cluster.start()
    expect(await store.sessionsOf(DEV_EUI)).toHaveLength(1)
    await store[Symbol.asyncDispose]()
    expect(await codeOf(() => store.sessionsOf(DEV_EUI))).toBe('store_failed')
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })
})
