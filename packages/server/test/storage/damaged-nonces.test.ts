import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type DevEui, parseDevEui } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { adopt, JOIN_EUI, joinOnce, keySetOf, newDevice, nextJoin, temporaryDirectory } from './fixtures.ts'

const CORRUPT = expect.objectContaining({ name: 'StorageError', code: 'database_corrupt' }) as unknown

const DAMAGED = parseDevEui('0004a30b00000001')
const INTACT = parseDevEui('0004a30b00000002')

interface Sample extends Disposable {
  readonly path: string
  readonly keyDigest: Buffer
}

/** Two devices that joined, one of them with a row that is changed by SQL, where no checksum is made. */
async function damage(sql: string): Promise<Sample> {
  using cleanup = new DisposableStack()
  const directory = cleanup.use(temporaryDirectory())
  const path = join(directory.path, 'database')
  createDatabase(path)
  const keyDigest = randomBytes(16)
  {
    using storage = openDatabase(path)
    await adopt(storage, newDevice({ devEui: DAMAGED, keyDigest }), newDevice({ devEui: INTACT }))
    for (const devEui of [DAMAGED, INTACT, DAMAGED]) await joinOnce(storage, devEui)
  }
  using database = new DatabaseSync(path)
  database.exec(`PRAGMA ignore_check_constraints = ON; UPDATE key_set SET ${sql} WHERE dev_eui = x'${DAMAGED}'`)
  const moved = cleanup.move()
  return {
    path,
    keyDigest,
    [Symbol.dispose]() {
      moved.dispose()
    },
  }
}

const find = ({ joins }: Storage, devEui: DevEui) => joins.findKeySets(JOIN_EUI, devEui)

describe('nonces that are not what was written', () => {
  test.each([
    ['a lower JoinNonce', 'last_join_nonce = 1'],
    ['a higher JoinNonce', 'last_join_nonce = 3'],
    ['no JoinNonce', 'last_join_nonce = 0'],
    ['no row of joins', "joins = x''"],
    ['a shorter row', 'joins = substr(joins, 1, length(joins) - 1)'],
    ['a longer row', "joins = CAST(joins || x'00' AS BLOB)"],
    ['a row of zeros', 'joins = zeroblob(length(joins))'],
    ['the row of another device', `joins = (SELECT joins FROM key_set WHERE dev_eui = x'${INTACT}')`],
    ['text', "joins = CAST('abc' AS BLOB)"],
  ])('%s: the device is refused, another goes on', async (_name, sql) => {
    using sample = await damage(sql)
    using storage = openDatabase(sample.path)
    expect(() => find(storage, DAMAGED)).toThrow(CORRUPT)
    expect((await joinOnce(storage, INTACT)).last.joinNonce).toBe(2)
  })

  test('a flipped byte anywhere in the row', async () => {
    using sample = await damage('generation = generation')
    using database = new DatabaseSync(sample.path)
    const [{ joins } = { joins: null }] = database
      .prepare(`SELECT joins FROM key_set WHERE dev_eui = x'${DAMAGED}'`)
      .all()
    if (!(joins instanceof Uint8Array)) throw new Error('no joins')
    const update = database.prepare(`UPDATE key_set SET joins = ? WHERE dev_eui = x'${DAMAGED}'`)
    using storage = openDatabase(sample.path, { readOnly: true })
    for (let at = 0; at < joins.length; at++) {
      const changed = Buffer.from(joins)
      changed.writeUInt8((changed[at] ?? 0) ^ (1 << (at % 8)), at)
      update.run(changed)
      expect(() => find(storage, DAMAGED), `byte ${at}`).toThrow(CORRUPT)
    }
    update.run(joins)
    expect(keySetOf(storage, DAMAGED).state?.lastJoinNonce).toBe(2)
  })

  test('an operator sees the device, and can remove it', async () => {
    using sample = await damage('last_join_nonce = 1')
    using storage = openDatabase(sample.path)
    const { administration } = storage
    const [device] = administration.findDevices(DAMAGED)
    expect(device?.keySets).toMatchObject([{ noncesDamaged: true, state: undefined }])
    expect(administration.findDevices(INTACT)[0]?.keySets).toMatchObject([{ noncesDamaged: false }])
    expect(administration.listDevices({ after: undefined, limit: 10 })).toHaveLength(2)
    const { deviceId = Buffer.alloc(0) } = device ?? {}
    await adopt(storage, { kind: 'device-removed', deviceId, keyDigest: sample.keyDigest })
    expect(find(storage, DAMAGED)).toEqual([])
  })

  test.each([
    ['the same root key comes back with them', true],
    ['another root key begins anew', false],
  ])('after a removal, %s', async (_name, sameKey) => {
    using sample = await damage('last_join_nonce = 1')
    using storage = openDatabase(sample.path)
    const { keyDigest } = sample
    const { deviceId = Buffer.alloc(0) } = storage.administration.findDevices(DAMAGED)[0] ?? {}
    await adopt(storage, { kind: 'device-removed', deviceId, keyDigest })
    const again = newDevice({ devEui: DAMAGED, ...(sameKey && { keyDigest }) })
    await adopt(storage, again)
    if (sameKey) expect(() => find(storage, DAMAGED)).toThrow(CORRUPT)
    else expect((await joinOnce(storage, DAMAGED)).last.joinNonce).toBe(1)
    // Any number of times.
    await adopt(storage, { kind: 'device-removed', deviceId: again.deviceId, keyDigest })
    await adopt(storage, newDevice({ devEui: DAMAGED, keyDigest }))
    if (sameKey) expect(() => find(storage, DAMAGED)).toThrow(CORRUPT)
    else expect((await joinOnce(storage, DAMAGED)).last.joinNonce).toBe(2)
  })
})

describe('a clock that jumps', () => {
  const jumps = [1_700_000_000_000, 0, 4_102_444_800_000, 1, 1_700_000_000_000]

  test('changes no nonce and no order of sessions: times are for people', async () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
    for (const joinedAt of jumps) {
      const join = nextJoin(keySetOf(storage))
      expect(await storage.joins.commit([{ join: { ...join, last: { ...join.last, joinedAt } } }])).toEqual([
        'committed',
      ])
    }
    const { keySet, state } = keySetOf(storage)
    expect(state?.lastJoinNonce).toBe(jumps.length)
    expect(storage.administration.listSessions(keySet).map(({ joinNonce }) => joinNonce)).toEqual([5, 4, 3, 2, 1])
  })
})
