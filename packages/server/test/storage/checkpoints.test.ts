import { copyFileSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { adopt, joinOnce, keySetOf, newDevice, newReceipt, temporaryDirectory } from './fixtures.ts'

const PAGE_BYTES = 4096

async function madeDatabase(directory: string): Promise<string> {
  const path = join(directory, 'database')
  createDatabase(path)
  using storage = openDatabase(path)
  await adopt(storage, newDevice())
  return path
}

/** The JoinNonce that the database file has by itself, without its log. */
function movedJoinNonce(path: string): number {
  const copy = `${path}-copy`
  copyFileSync(path, copy)
  using storage = openDatabase(copy, { readOnly: true })
  return keySetOf(storage).state?.lastJoinNonce ?? 0
}

/** Some twenty pages each. */
async function commitReceipts(storage: Storage, transactions: number): Promise<void> {
  for (let i = 0; i < transactions; i++)
    await storage.joins.commit(Array.from({ length: 500 }, () => ({ receipt: newReceipt() })))
}

test('what is committed gets into the database file while it is open, and the first few transactions do not', async () => {
  using directory = temporaryDirectory()
  const path = await madeDatabase(directory.path)
  using storage = openDatabase(path)
  for (let i = 0; i < 20; i++) await joinOnce(storage)
  expect(movedJoinNonce(path)).toBe(0)
  for (let i = 0; i < 60; i++) await joinOnce(storage)
  await expect.poll(() => movedJoinNonce(path), { timeout: 10_000 }).toBeGreaterThanOrEqual(60)
})

test('the log does not grow with what is written, and the closed database has none', async () => {
  using directory = temporaryDirectory()
  const path = await madeDatabase(directory.path)
  const lines: string[] = []
  let written: number
  {
    using storage = openDatabase(path, { log: (line) => lines.push(line) })
    const before = statSync(path).size
    await commitReceipts(storage, 1500)
    expect(statSync(`${path}-wal`).size).toBeLessThan(12_000 * PAGE_BYTES)
    written = statSync(path).size - before
  }
  expect(written).toBeGreaterThan(15_000 * PAGE_BYTES)
  expect(existsSync(`${path}-wal`)).toBe(false)
  expect(lines).toEqual([])
})
