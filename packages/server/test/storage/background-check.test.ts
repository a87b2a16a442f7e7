import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { PAGE_BYTES } from './damage.ts'
import { adopt, joinOnce, keySetOf, newDevice, temporaryDirectory } from './fixtures.ts'

const CORRUPT = expect.objectContaining({ name: 'StorageError', code: 'database_corrupt' }) as unknown
const LARGE_BYTES = 40 * 1024 * 1024
const POLL = { timeout: 20_000 }

/** A database with a device that joined, and too large to be checked before it is used. */
async function makeLarge(directory: string): Promise<string> {
  const path = join(directory, 'database')
  createDatabase(path)
  {
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
    await joinOnce(storage)
  }
  using database = new DatabaseSync(path)
  const insert = database.prepare(
    'INSERT INTO receipt (boot_epoch, worker, first_sequence, last_sequence, bodies) VALUES (1, 1, ?, ?, zeroblob(?))',
  )
  const bytes = 1024 * 1024
  for (let row = 0; row < LARGE_BYTES / bytes; row++) insert.run(row, row, bytes)
  return path
}

/** Empties the one page of an index that no join reads. */
function damageIndex(path: string): void {
  const page = rootPage(path, 'key_set_by_device')
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, (page - 1) * PAGE_BYTES)
  closeSync(file)
}

function rootPage(path: string, name: string): number {
  using database = new DatabaseSync(path, { readOnly: true })
  return Number(database.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(name)?.['rootpage'])
}

test('a large database is used at once, and refuses everything when damage is found in it', async () => {
  using directory = temporaryDirectory()
  const path = await makeLarge(directory.path)
  damageIndex(path)
  const lines: string[] = []
  using storage = openDatabase(path, { checkInBackground: true, log: (line) => lines.push(line) })
  expect(storage.failure).toBeUndefined()
  expect(keySetOf(storage).state?.lastJoinNonce).toBe(1)
  await expect.poll(() => storage.failure, POLL).toEqual(CORRUPT)
  await expect(joinOnce(storage)).rejects.toEqual(CORRUPT)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('database_corrupt')
})

test('nonces that are not what was written are damage too', async () => {
  using directory = temporaryDirectory()
  const path = await makeLarge(directory.path)
  {
    using database = new DatabaseSync(path)
    database.exec('UPDATE key_set SET last_join_nonce = 7')
  }
  using storage = openDatabase(path, { checkInBackground: true })
  await expect.poll(() => storage.failure, POLL).toEqual(CORRUPT)
})

test('a large database in which there is none is said to be whole, and joins go on meanwhile', async () => {
  using directory = temporaryDirectory()
  const path = await makeLarge(directory.path)
  const lines: string[] = []
  using storage = openDatabase(path, { checkInBackground: true, log: (line) => lines.push(line) })
  let joins = 1
  for (; lines.length === 0; joins++) {
    await joinOnce(storage)
    await delay(1)
  }
  expect(lines[0]).toMatch(/^the whole database was checked in \d+\.\d s$/)
  expect(storage.failure).toBeUndefined()
  expect(keySetOf(storage).state?.lastJoinNonce).toBe(joins)
})

test('the check ends with the database', async () => {
  using directory = temporaryDirectory()
  const path = await makeLarge(directory.path)
  openDatabase(path, { checkInBackground: true })[Symbol.dispose]()
  const running = (): boolean => processesOf(path).length > 0
  await expect.poll(running, POLL).toBe(false)
})

/** Children of this process that have a path on their command line. */
function processesOf(path: string): string[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
  return children.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path)
    } catch {
      return false
    }
  })
}
