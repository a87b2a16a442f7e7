import { execFileSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { newReceipt, submit, temporaryDirectory } from './fixtures.ts'

const WINDOW = 16

/** All bytes of the database's files. By another process: closing a file here would free SQLite's locks on it. */
function filesOf(directory: string): Buffer {
  const files = readdirSync(directory).map((name) => join(directory, name))
  return execFileSync('cat', files, { maxBuffer: 256 * 1024 * 1024 })
}

/** Indexes of those envelopes that have one of their aligned 16-byte windows anywhere in the files. */
function foundIn(files: Buffer, envelopes: readonly Buffer[]): number[] {
  // By the first four bytes of each window, so that one pass over the files sees them all.
  const windows = new Map<number, { index: number; envelope: Buffer; at: number }[]>()
  for (const [index, envelope] of envelopes.entries())
    for (let at = 0; at + WINDOW <= envelope.length; at += WINDOW) {
      const start = envelope.readUInt32LE(at)
      windows.set(start, [...(windows.get(start) ?? []), { index, envelope, at }])
    }
  const found = new Set<number>()
  for (let offset = 0; offset + WINDOW <= files.length; offset++)
    for (const { index, envelope, at } of windows.get(files.readUInt32LE(offset)) ?? [])
      if (files.compare(envelope, at, at + WINDOW, offset, offset + WINDOW) === 0) found.add(index)
  return [...found].sort((a, b) => a - b)
}

async function settle({ administration }: Storage, orderId: number, how: 'adopt' | 'refuse'): Promise<void> {
  if (how === 'adopt') await administration.adoptOrder(orderId, { changes: [], receipt: newReceipt(), epoch: 1 })
  else await administration.refuseOrder(orderId, 'order_malformed', undefined)
}

test.each(['adopt', 'refuse'] as const)(
  'an envelope lies in the files while its order waits, and not after %s',
  async (how) => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    using storage = openDatabase(path)
    // Sizes on both sides of what a page holds; odd texts beside them, so that pages split and fill unevenly.
    const waiting = []
    for (let i = 0; i < 60; i++) {
      const envelope = randomBytes(randomInt(16, i % 7 === 0 ? 60_000 : 3000))
      const { orderId } = await submit(storage, { envelope, text: randomBytes(randomInt(10, 2000)) })
      waiting.push({ orderId, envelope })
    }
    const envelopes = waiting.map(({ envelope }) => envelope)
    expect(foundIn(filesOf(directory.path), envelopes)).toEqual([...envelopes.keys()])
    const settled: Buffer[] = []
    while (waiting.length > 0) {
      for (const { orderId, envelope } of waiting.splice(randomInt(waiting.length), 7)) {
        await settle(storage, orderId, how)
        settled.push(envelope)
      }
      const stillThere = waiting.map(({ envelope }) => envelope)
      expect(foundIn(filesOf(directory.path), [...stillThere, ...settled])).toEqual([...stillThere.keys()])
    }
  },
)

test('a reader in the way delays the erasure until it is gone', async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  using storage = openDatabase(path)
  const envelope = randomBytes(5000)
  const { orderId } = await submit(storage, { envelope })
  const reader = new DatabaseSync(path, { readOnly: true })
  reader.exec('BEGIN')
  reader.prepare('SELECT COUNT(*) FROM stored_order').get()
  await settle(storage, orderId, 'adopt')
  expect(storage.administration.findOrder(orderId)?.envelope).toBeUndefined()
  expect(foundIn(filesOf(directory.path), [envelope])).toEqual([0])
  reader.close()
  const deadline = Date.now() + 10_000
  while (foundIn(filesOf(directory.path), [envelope]).length > 0 && Date.now() < deadline) await sleep(100)
  expect(foundIn(filesOf(directory.path), [envelope])).toEqual([])
})

test('what a killed process left in the log is erased by the next start', async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  const envelope = randomBytes(5000)
  {
    using storage = openDatabase(path)
    await submit(storage, { envelope })
  }
  {
    // A process that settles the order and dies before the log is emptied.
    const settleAndDie = `
      const { DatabaseSync } = require('node:sqlite')
      const database = new DatabaseSync(process.argv[1])
      database.exec("PRAGMA secure_delete = ON; UPDATE stored_order SET state = 'adopted', settled_at = 1, envelope = NULL")
      process.kill(process.pid, 'SIGKILL')`
    expect(() => execFileSync(process.execPath, ['-e', settleAndDie, path])).toThrow('Command failed')
  }
  expect(foundIn(filesOf(directory.path), [envelope])).toEqual([0])
  using storage = openDatabase(path)
  expect(storage.administration.listOrders('adopted', 1)).toHaveLength(1)
  expect(foundIn(filesOf(directory.path), [envelope])).toEqual([])
})
