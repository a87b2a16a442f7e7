import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { Connection } from '../../src/storage/sqlite/connection.ts'
import { setUpWriter } from '../../src/storage/sqlite/settings.ts'
import { sqliteStorage } from '../../src/storage/sqlite/storage.ts'
import { adopt, joinOnce, keySetOf, newDevice, newReceipt, nextJoin, submit, temporaryDirectory } from './fixtures.ts'

interface TinyDisk extends Disposable {
  readonly path: string
  /** What a write fails with when there is no space. */
  readonly full: unknown
  /** Takes all the space that is left. */
  fill(): void
  free(): void
}

const failing = (code: string) => expect.objectContaining({ name: 'StorageError', code }) as unknown

/** A file system of one megabyte; where none may be mounted, a directory in which this process may not let a file grow. */
function tinyDisk(): TinyDisk {
  const directory = temporaryDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory.path], { stdio: 'ignore' })
  } catch {
    return limitedFiles(directory)
  }
  const filler = join(directory.path, 'filler')
  return {
    path: directory.path,
    full: failing('disk_full'),
    fill: () => {
      fillFile(filler)
    },
    free: () => {
      rmSync(filler)
    },
    [Symbol.dispose]() {
      execFileSync('umount', [directory.path])
      directory[Symbol.dispose]()
    },
  }
}

function limitedFiles({ path, [Symbol.dispose]: dispose }: ReturnType<typeof temporaryDirectory>): TinyDisk {
  const limit = (bytes: string): void => {
    execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`])
  }
  return {
    path,
    full: failing('disk_failed'),
    fill: () => {
      limit('1000')
    },
    free: () => {
      limit('unlimited')
    },
    [Symbol.dispose]() {
      limit('unlimited')
      dispose()
    },
  }
}

function fillFile(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
}

/** Both kinds run where both can, so that neither is left out anywhere. */
const DISKS: readonly [string, () => TinyDisk][] = [
  ['a full disk', tinyDisk],
  ['files that may not grow', () => limitedFiles(temporaryDirectory())],
]

/** On a full disk everything that writes is refused and nothing of it kept; reading goes on. */
async function refusesToWrite(storage: Storage, full: unknown): Promise<void> {
  const before = keySetOf(storage)
  const { administration, joins } = storage
  const waiting = administration.listOrders('waiting', 10)
  const commits = [nextJoin(before), nextJoin(before)].map((join) => joins.commit([{ join }]))
  const large = joins.commit(Array.from({ length: 9000 }, () => ({ receipt: newReceipt() })))
  expect(await Promise.allSettled([...commits, large])).toEqual(
    Array.from({ length: 3 }, () => ({ status: 'rejected', reason: full })),
  )
  await expect(submit(storage, { text: Buffer.alloc(900_000) })).rejects.toEqual(full)
  expect(keySetOf(storage)).toEqual(before)
  expect(administration.listOrders('waiting', 10)).toEqual(waiting)
}

test.each(DISKS)('%s: nothing is kept, and everything works again when there is space', async (_name, makeDisk) => {
  using disk = makeDisk()
  const path = join(disk.path, 'database')
  createDatabase(path)
  const lines: string[] = []
  {
    using storage = openDatabase(path, { log: (line) => lines.push(line) })
    await adopt(storage, newDevice())
    await joinOnce(storage)
    // Empties the log, so that the next commit needs space for it.
    await adopt(storage)
    disk.fill()
    await refusesToWrite(storage, disk.full)
    expect(storage.failure).toEqual(disk.full)
    // Longer than the guard waits: what it tries meanwhile fails as well.
    await delay(5000)
    expect(storage.failure).toEqual(disk.full)
    expect(lines).toHaveLength(1)
    disk.free()
    expect((await joinOnce(storage)).last.joinNonce).toBe(2)
    await expect.poll(() => storage.failure, { timeout: 10_000 }).toBeUndefined()
    expect(lines).toEqual([
      expect.stringMatching(/^commits to the database fail, and joins are refused: disk_/),
      'commits to the database work again',
    ])
    disk.fill()
  }
  disk.free()
  using reopened = openDatabase(path)
  expect(keySetOf(reopened).state?.lastJoinNonce).toBe(2)
})

test.each(DISKS)('%s: no new database is made, and none is left half-made', (_name, makeDisk) => {
  using disk = makeDisk()
  const path = join(disk.path, 'database')
  disk.fill()
  expect(() => {
    createDatabase(path)
  }).toThrow(disk.full)
  disk.free()
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
  using storage = sqliteStorage(connection, path, { readOnly: false })
  await adopt(storage, newDevice())
  const pages = Number(connection.pragma('page_count'))
  connection.pragma(`max_page_count = ${pages}`)
  // What fits into the pages that are there is still taken: the batch that does not is refused as a whole.
  const receipts = Array.from({ length: 500 }, () => ({ receipt: newReceipt() }))
  const commit = nextJoin(keySetOf(storage))
  await expect(storage.joins.commit([{ join: commit }, ...receipts])).rejects.toEqual(failing('disk_full'))
  expect(keySetOf(storage).state).toBeUndefined()
  connection.pragma(`max_page_count = ${pages + 1000}`)
  const results = await storage.joins.commit([{ join: commit }, ...receipts])
  expect(new Set(results)).toEqual(new Set(['committed']))
  expect(keySetOf(storage).state?.last).toEqual(commit.last)
})
