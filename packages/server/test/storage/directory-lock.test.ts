import { copyFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { acquireDirectoryLock } from '../../src/lock/index.ts'
import { startChild } from './children/start.ts'
import { temporaryDirectory } from './fixtures.ts'

const LOCKED = expect.objectContaining({ name: 'StorageError', code: 'database_locked' }) as unknown

test('another process cannot take a held lock, and can once it is freed', async () => {
  using directory = temporaryDirectory()
  const lock = acquireDirectoryLock(directory.path)
  await using refused = startChild('hold-lock', directory.path)
  expect(await refused.nextLine()).toBe('database_locked')
  lock[Symbol.dispose]()
  await using taken = startChild('hold-lock', directory.path)
  expect(await taken.nextLine()).toBe('locked')
})

test('who waits for a held lock gets it when it is freed in time, and is refused when it is not', async () => {
  using directory = temporaryDirectory()
  const lock = acquireDirectoryLock(directory.path)
  await using refused = startChild('hold-lock', directory.path, '500')
  expect(await refused.nextLine()).toBe('database_locked')
  await using waiting = startChild('hold-lock', directory.path, '30000')
  await delay(1000)
  lock[Symbol.dispose]()
  expect(await waiting.nextLine()).toBe('locked')
})

test('kill -9 of its holder frees the lock', async () => {
  using directory = temporaryDirectory()
  await using holder = startChild('hold-lock', directory.path)
  expect(await holder.nextLine()).toBe('locked')
  expect(() => acquireDirectoryLock(directory.path)).toThrow(LOCKED)
  await holder.kill()
  using lock = acquireDirectoryLock(directory.path)
  expect(lock).toBeDefined()
})

test('a second try by the same process is refused and does not free the lock', async () => {
  using directory = temporaryDirectory()
  using lock = acquireDirectoryLock(directory.path)
  expect(lock).toBeDefined()
  expect(() => acquireDirectoryLock(directory.path)).toThrow(LOCKED)
  await using other = startChild('hold-lock', directory.path)
  expect(await other.nextLine()).toBe('database_locked')
})

test('the lock is of one directory, and freeing it twice does no harm', () => {
  using one = temporaryDirectory()
  using two = temporaryDirectory()
  const first = acquireDirectoryLock(one.path)
  using second = acquireDirectoryLock(two.path)
  expect(second).toBeDefined()
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  using again = acquireDirectoryLock(one.path)
  expect(again).toBeDefined()
})

test('the lock file is readable by its owner only, and a copied directory is not locked', () => {
  using directory = temporaryDirectory()
  using copy = temporaryDirectory()
  const file = join(directory.path, 'lock')
  acquireDirectoryLock(directory.path)[Symbol.dispose]()
  expect(statSync(file).mode & 0o777).toBe(0o600)
  copyFileSync(file, join(copy.path, 'lock'))
  using held = acquireDirectoryLock(directory.path)
  using copied = acquireDirectoryLock(copy.path)
  expect([held, copied]).toHaveLength(2)
})

test('a missing directory and a lock file of another kind are named', () => {
  using directory = temporaryDirectory()
  expect(() => acquireDirectoryLock(join(directory.path, 'none'))).toThrow(
    expect.objectContaining({ code: 'database_missing' }),
  )
  writeFileSync(join(directory.path, 'lock'), 'x'.repeat(4096))
  expect(() => acquireDirectoryLock(directory.path)).toThrow(expect.objectContaining({ code: 'database_corrupt' }))
})
