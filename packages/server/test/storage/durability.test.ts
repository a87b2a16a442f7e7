import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { startChild } from './children/start.ts'
import { adopt, joinOnce, keySetOf, newDevice, temporaryDirectory } from './fixtures.ts'

const OVERLAPPING_WRITES = fileURLToPath(new URL('children/overlapping-writes.ts', import.meta.url))
const COMMIT_JOINS = fileURLToPath(new URL('children/commit-joins.ts', import.meta.url))

async function madeDatabase(directory: string): Promise<string> {
  const path = join(directory, 'database')
  createDatabase(path)
  using storage = openDatabase(path)
  await adopt(storage, newDevice())
  return path
}

test('whatever was said to be committed is there after kill -9, again and again', async () => {
  using directory = temporaryDirectory()
  const path = await madeDatabase(directory.path)
  for (let round = 1; round <= 5; round++) {
    await using child = startChild('commit-joins', path, '100000')
    expect(await child.nextLine()).toBe('ready')
    let committed = 0
    for (let lines = 0; lines < 20 * round; lines++) committed = Number(await child.nextLine())
    await child.kill()
    // What it had still written to the pipe counts too.
    for (let line = await child.nextLine(); line !== undefined; line = await child.nextLine()) committed = Number(line)
    using storage = openDatabase(path)
    const { keySet, state } = keySetOf(storage)
    expect(state?.lastJoinNonce).toBeGreaterThanOrEqual(committed)
    expect(storage.administration.listSessions(keySet)[0]?.joinNonce).toBe(state?.lastJoinNonce)
    expect((await joinOnce(storage)).last.joinNonce).toBeGreaterThan(committed)
  }
})

/** Per committed join, whether the write-ahead log was synced between its last write and the line that says so. */
function tracedSyncs(directory: string, path: string, mode: 'safe' | 'unsafe'): boolean[] {
  const trace = join(directory, 'trace')
  const calls = '-e trace=fsync,fdatasync,write,pwrite64'.split(' ')
  execFileSync('strace', ['-f', '-y', ...calls, '-o', trace, process.execPath, COMMIT_JOINS, path, '5', mode])
  const synced: boolean[] = []
  let pending: 'nothing' | 'written' | 'synced' = 'nothing'
  const lines = readFileSync(trace, 'utf8').split('\n')
  for (const line of lines.slice(lines.findIndex((line) => line.includes('"ready')))) {
    if (/pwrite64\(.*database-wal>/.test(line)) pending = 'written'
    else if (/(fsync|fdatasync)(\(.*database-wal>| resumed>)\).* = 0$/.test(line) && pending === 'written')
      pending = 'synced'
    else if (/write\(1<.*"\d+\\n"/.test(line)) {
      synced.push(pending === 'synced')
      pending = 'nothing'
    }
  }
  return synced
}

describe('seen by strace', () => {
  test('a commit resolves after the log was written and then synced', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    expect(tracedSyncs(directory.path, path, 'safe')).toEqual([true, true, true, true, true])
  })

  test('the trace tells a commit that is not synced', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    expect(tracedSyncs(directory.path, path, 'unsafe')).toEqual([false, false, false, false, false])
  })

  test('after a sync that failed nobody knows what the disk has: no commit is taken until the database is opened again', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    const fault = ['-P', `${path}-wal`, '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=2']
    const command = ['-f', ...fault, '-o', '/dev/null', process.execPath, COMMIT_JOINS, path, '4']
    // With one thread for the syncs, the second of them is the second commit's.
    const env = { ...process.env, UV_THREADPOOL_SIZE: '1' }
    const output = execFileSync('strace', command, { encoding: 'utf8', env })
    expect(output.trim().split('\n')).toEqual(['ready', '1', 'disk_failed', 'disk_failed', 'disk_failed'])
    using storage = openDatabase(path)
    expect((await joinOnce(storage)).last.joinNonce).toBeGreaterThan(1)
  })

  test.each([
    [
      'fails',
      ['-e', 'inject=fsync,fdatasync:error=EIO:when=2'],
      ['durable', 'disk_failed', 'disk_failed', 'disk_failed'],
    ],
    ['succeeds', [], ['durable', 'durable', 'durable', 'durable']],
  ])('what waits for the next sync shares the fate of the one before, which %s', async (_name, fault, outcomes) => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    const traced = ['-f', '-P', `${path}-wal`, '-e', 'trace=fsync,fdatasync', ...fault, '-o', '/dev/null']
    const output = execFileSync('strace', [...traced, process.execPath, OVERLAPPING_WRITES, path], {
      encoding: 'utf8',
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    })
    expect(output.trim().split('\n')).toEqual(outcomes)
  })
})
