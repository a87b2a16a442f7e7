import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type DevEui, parseDevEui } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type JoinState, type JoinKeySet, openDatabase, type Storage } from '../../src/storage/index.ts'
import { Connection } from '../../src/storage/sqlite/connection.ts'
import { setUpConnection, setUpWriter } from '../../src/storage/sqlite/settings.ts'
import { sqliteStorage } from '../../src/storage/sqlite/storage.ts'
import { type Fault, FAULTS, randomOf } from './damage.ts'
import { adopt, JOIN_EUI, keySetOf, newDevice, newKek, newPeer, nextJoin, temporaryDirectory } from './fixtures.ts'

const DEVICES = 150
const ROUNDS = 6
const TRIALS = 25

interface Sample {
  readonly bytes: Buffer
  readonly truth: ReadonlyMap<DevEui, JoinKeySet>
}

/** A database whose devices joined between 0 and 6 times, with all that lies between their rows. */
async function makeSample(directory: string): Promise<Sample> {
  const path = join(directory, 'sample')
  createDatabase(path)
  const devEuis = Array.from({ length: DEVICES }, () => parseDevEui(randomBytes(8).toString('hex')))
  {
    using storage = openDatabase(path)
    await adopt(
      storage,
      ...devEuis.map((devEui) => newDevice({ devEui })),
      { kind: 'kek-added', kek: newKek() },
      { kind: 'peer-added', peer: newPeer() },
    )
    for (let round = 1; round <= ROUNDS; round++) await joinAll(storage, devEuis, round)
  }
  using storage = openDatabase(path)
  const truth = new Map(devEuis.map((devEui) => [devEui, keySetOf(storage, devEui)]))
  return { bytes: readFileSync(path), truth }
}

/** The n-th join of every device that joins so often; each has a history of as many DevNonces. */
async function joinAll(storage: Storage, devEuis: readonly DevEui[], round: number): Promise<void> {
  const joining = devEuis.filter((_, index) => index % (ROUNDS + 1) >= round)
  const commits = joining.map((devEui) => {
    const keySet = keySetOf(storage, devEui)
    const devNonces = Buffer.concat([keySet.state?.devNonces ?? Buffer.from([2]), randomBytes(2)])
    return { join: nextJoin(keySet, { devNonces }) }
  })
  await storage.joins.commit(commits)
}

/** Without the check of the whole file, as a database too large for it is opened. */
function openLarge(path: string): Storage {
  using cleanup = new DisposableStack()
  const connection = cleanup.use(new Connection(path, { readOnly: false }))
  setUpConnection(connection)
  setUpWriter(connection)
  const storage = sqliteStorage(connection, path, { readOnly: false })
  cleanup.move()
  return storage
}

/** How often a database was refused, a device was, its nonces were right, or were not what they had been. */
type Tally = Record<'refused' | 'refusedDevices' | 'right' | 'wrong', number>

function tryFaults(sample: Sample, fault: Fault, open: (path: string) => Storage): Tally {
  const tally = { refused: 0, refusedDevices: 0, right: 0, wrong: 0 }
  for (let seed = 1; seed <= TRIALS; seed++) {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    const bytes = Buffer.from(sample.bytes)
    fault(bytes, randomOf(seed))
    writeFileSync(path, bytes)
    try {
      using storage = open(path)
      for (const [devEui, expected] of sample.truth) tally[outcome(storage, devEui, expected)]++
    } catch (error) {
      expect(error).toMatchObject({ name: 'StorageError' })
      tally.refused++
    }
  }
  return tally
}

function outcome(storage: Storage, devEui: DevEui, expected: JoinKeySet): keyof Tally {
  try {
    const [found, ...others] = storage.joins.findKeySets(JOIN_EUI, devEui)
    // Whatever is not this device's own record is refused by the HSM, which tagged it.
    if (found?.record.equals(expected.record) !== true) return 'refusedDevices'
    return others.length === 0 && sameNonces(found.state, expected.state) ? 'right' : 'wrong'
  } catch {
    return 'refusedDevices'
  }
}

/** How many rows SQLite alone reads as others than were written, for devices whose record the HSM would take. */
function countUnchecked(sample: Sample, fault: Fault): number {
  const expected = new Map([...sample.truth.values()].map((keySet) => [keySet.record.toString('hex'), keySet.state]))
  let wrong = 0
  for (let seed = 1; seed <= TRIALS; seed++) {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    const bytes = Buffer.from(sample.bytes)
    fault(bytes, randomOf(seed))
    writeFileSync(path, bytes)
    try {
      using database = new DatabaseSync(path)
      for (const row of database.prepare('SELECT hex(record) AS record, hex(joins) AS joins FROM key_set').all()) {
        const record = String(row['record']).toLowerCase()
        const stored = expected.get(record)?.stored.toString('hex') ?? ''
        if (expected.has(record) && String(row['joins']).toLowerCase() !== stored) wrong++
      }
    } catch {
      // Too damaged for SQLite itself: another trial.
    }
  }
  return wrong
}

function sameNonces(a: JoinState | undefined, b: JoinState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  const digests = a.last.requestDigest.equals(b.last.requestDigest)
  return digests && a.lastJoinNonce === b.lastJoinNonce && a.devNonces.equals(b.devNonces)
}

describe('whatever happens to the pages of a database, it refuses a device or knows its nonces', () => {
  let directory: ReturnType<typeof temporaryDirectory>
  let sample: Sample
  beforeAll(async () => {
    directory = temporaryDirectory()
    sample = await makeSample(directory.path)
  })
  afterAll(() => {
    directory[Symbol.dispose]()
  })

  test.each(Object.entries(FAULTS))('%s, checked at start', (_name, fault) => {
    const tally = tryFaults(sample, fault, openDatabase)
    expect(tally.wrong).toBe(0)
    expect(tally.refused + tally.refusedDevices).toBeGreaterThan(0)
  })

  test.each(Object.entries(FAULTS))('%s, too large to be checked at start', (_name, fault) => {
    const tally = tryFaults(sample, fault, openLarge)
    expect(tally).toMatchObject({ wrong: 0, right: expect.toSatisfy((right: number) => right > 1000) as number })
  })

  test('and what is not checked is wrong often enough that the test would see it', () => {
    const wrong = Object.values(FAULTS).map((fault) => countUnchecked(sample, fault))
    expect(wrong.reduce((sum, count) => sum + count)).toBeGreaterThan(10)
  })
})
