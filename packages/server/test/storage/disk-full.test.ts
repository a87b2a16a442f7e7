import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { Connection } from '../../src/storage/sqlite/connection.ts'
import { setUpWriter } from '../../src/storage/sqlite/settings.ts'
import { sqliteStorage } from '../../src/storage/sqlite/storage.ts'
import { adopt, joinOnce, keySetOf, newDevice, newReceipt, nextJoin, submit, temporaryDirectory } from './fixtures.ts'

const DISK_FULL = expect.objectContaining({ name: 'StorageError', code: 'disk_full' }) as unknown

/** A file system of one megabyte, or undefined where it may not be mounted. */
function tinyDisk(): (Disposable & { readonly path: string }) | undefined {
  const directory = temporaryDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory.path], { stdio: 'ignore' })
  } catch {
    directory[Symbol.dispose]()
    return undefined
  }
  return {
    path: directory.path,
    [Symbol.dispose]() {
      execFileSync('umount', [directory.path])
      directory[Symbol.dispose]()
    },
  }
}

/** Takes all the space that is left. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
}

/** On a full disk everything that writes is refused and nothing of it kept; reading goes on. */
async function refusesToWrite(storage: Storage): Promise<void> {
  const before = keySetOf(storage)
  const { administration, joins } = storage
  const waiting = administration.listOrders('waiting', 10)
  const commits = [nextJoin(before), nextJoin(before)].map((join) => joins.commit([{ join }]))
  const large = administration.recordReceipts(
    Array.from({ length: 9000 }, () => newReceipt()),
    [],
  )
  expect(await Promise.allSettled([...commits, large])).toEqual(
    Array.from({ length: 3 }, () => ({ status: 'rejected', reason: DISK_FULL })),
  )
  await expect(submit(storage, { text: Buffer.alloc(900_000) })).rejects.toEqual(DISK_FULL)
  expect(keySetOf(storage)).toEqual(before)
  expect(administration.listOrders('waiting', 10)).toEqual(waiting)
}

test('a full disk: disk_full, nothing kept, and everything works again when there is space', async ({ skip }) => {
  using disk = tinyDisk()
  if (disk === undefined) return skip('no file system may be mounted here')
  const path = join(disk.path, 'database')
  const filler = join(disk.path, 'filler')
  createDatabase(path)
  {
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
    await joinOnce(storage)
    // Empties the log, so that the next commit needs space for it.
    await adopt(storage)
    fill(filler)
    await refusesToWrite(storage)
    rmSync(filler)
    expect((await joinOnce(storage)).last.joinNonce).toBe(2)
    fill(filler)
  }
  rmSync(filler)
  using reopened = openDatabase(path)
  expect(keySetOf(reopened).state?.lastJoinNonce).toBe(2)
})

test('no new database is made on a full disk, and none is left half-made', ({ skip }) => {
  using disk = tinyDisk()
  if (disk === undefined) return skip('no file system may be mounted here')
  const path = join(disk.path, 'database')
  const filler = join(disk.path, 'filler')
  fill(filler)
  expect(() => {
    createDatabase(path)
  }).toThrow(DISK_FULL)
  rmSync(filler)
  createDatabase(path)
  using storage = openDatabase(path)
  expect(storage.administration.countDevices()).toBe(0)
})

test('a database that may not grow: disk_full, nothing kept, and everything works again when it may', async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  const connection = new Connection(path, { readOnly: false })
  setUpWriter(connection)
  using storage = sqliteStorage(connection, { readOnly: false })
  await adopt(storage, newDevice())
  const pages = Number(connection.pragma('page_count'))
  connection.pragma(`max_page_count = ${pages}`)
  // What fits into the pages that are there is still taken: the batch that does not is refused as a whole.
  const receipts = Array.from({ length: 500 }, () => ({ receipt: newReceipt() }))
  const commit = nextJoin(keySetOf(storage))
  await expect(storage.joins.commit([{ join: commit }, ...receipts])).rejects.toEqual(DISK_FULL)
  expect(keySetOf(storage).state).toBeUndefined()
  connection.pragma(`max_page_count = ${pages + 1000}`)
  const results = await storage.joins.commit([{ join: commit }, ...receipts])
  expect(new Set(results)).toEqual(new Set(['committed']))
  expect(keySetOf(storage).state?.last).toEqual(commit.last)
})
