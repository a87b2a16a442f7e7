import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { SqliteSessionStore } from '../../src/index.ts'
import { codeOf } from '../errors.ts'
import { DEV_EUI, newSession } from './announced.ts'
import { directory } from './stores.ts'

const PROGRAM = fileURLToPath(new URL('store-process.ts', import.meta.url))

/** What a process printed until it ended; it is killed as soon as it has printed `killAfter` lines. */
async function linesOf(args: readonly string[], killAfter = Number.POSITIVE_INFINITY): Promise<string[]> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.split('\n').length > killAfter) child.kill('SIGKILL')
  })
  await once(child, 'close')
  // The line that was being written when the process died was used up to there, or not at all.
  const [ready, ...lines] = output.split('\n').slice(0, -1)
  expect(ready).toBe('ready')
  return lines
}

describe('an SQLite session store', () => {
  test('never gives a downlink counter twice, however often its processes are killed', async () => {
    const path = join(directory(), 'sessions.db')
    const used: string[] = []
    for (let round = 0; round < 6; round++) {
      const killAfter = 5 + 13 * round
      const both = await Promise.all([
        linesOf([path, 'allocate'], killAfter),
        linesOf([path, 'allocate'], 2 * killAfter),
      ])
      used.push(...both.flat())
    }
    expect(used.length).toBeGreaterThan(500)
    expect(new Set(used).size).toBe(used.length)
    expect(Math.max(...used.map(Number))).toBeLessThan(used.length + 12 * 2)
  })

  test('of two processes with the same uplinks gives each uplink to one', async () => {
    const path = join(directory(), 'sessions.db')
    await using store = new SqliteSessionStore(path)
    await store.begin(newSession(1), 0)
    const args = [path, 'accept', newSession(1).id, '400']
    const [one, other] = await Promise.all([linesOf(args), linesOf(args)])
    expect([...one, ...other].map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, n) => n))
  })

  test('is there again when it is opened again, and for its user alone', async () => {
    const path = join(directory(), 'sessions.db')
    {
      await using store = new SqliteSessionStore(path)
      await store.begin(newSession(1), 7)
      await store.acceptUplink(newSession(1).id, 3, 8)
    }
    await using again = new SqliteSessionStore(path)
    expect(await again.sessionsOf(DEV_EUI)).toMatchObject([{ ...newSession(1), lastFCntUp: 3, seenAtMs: 8 }])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('of a later release is refused, and so is a file that is none', async () => {
    const path = join(directory(), 'sessions.db')
    const open = async () => {
      await using store = new SqliteSessionStore(path)
      return store
    }
    expect(await codeOf(open)).toBeUndefined()
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 99')
    database.close()
    expect(await codeOf(open)).toBe('store_newer')
    const text = join(directory(), 'text')
    writeFileSync(text, 'no database '.repeat(100))
    expect(await codeOf(() => new SqliteSessionStore(text))).toBe('store_failed')
    expect(await codeOf(() => new SqliteSessionStore(join(path, 'below-a-file')))).toBe('store_failed')
  })

  test('that was closed says so, and does not crash', async () => {
    const store = new SqliteSessionStore(join(directory(), 'sessions.db'))
    await store[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    expect(await codeOf(() => store.sessionsOf(DEV_EUI))).toBe('store_failed')
    expect(await codeOf(() => store.begin(newSession(1), 0))).toBe('store_failed')
  })
})
