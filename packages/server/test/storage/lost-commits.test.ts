import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { startChild } from './children/start.ts'
import { randomOf } from './damage.ts'
import { adopt, joinOnce, keySetOf, newDevice, newReceipt, temporaryDirectory } from './fixtures.ts'

const failing = (code: string) => expect.objectContaining({ name: 'StorageError', code }) as unknown

const ENDS = ['', '-wal', '-shm', '.last-commit']
const JOINS = 60
/** A header, then frames of a header and a page. */
const WAL_HEADER_BYTES = 32
const FRAME_BYTES = 24 + 4096

/** What a server leaves that was killed: the last joins are in the log alone. */
interface Killed extends Disposable {
  readonly directory: string
  /** Commits that were answered. */
  readonly committed: number
  /** A copy of all its files, to be spoilt. */
  copy(name: string): string
}

async function killServer(): Promise<Killed> {
  using cleanup = new DisposableStack()
  const { path: directory } = cleanup.use(temporaryDirectory())
  const path = join(directory, 'killed')
  createDatabase(path)
  {
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
    await joinOnce(storage)
  }
  copyFileSync(path, join(directory, 'older'))
  await using child = startChild('commit-joins', path, '100000')
  let committed = 0
  while (!(committed >= JOINS)) committed = Number(await child.nextLine()) || 0
  await child.kill()
  for (let line = await child.nextLine(); line !== undefined; line = await child.nextLine()) committed = Number(line)
  const moved = cleanup.move()
  return {
    directory,
    committed,
    copy(name) {
      for (const end of ENDS) copyFileSync(path + end, join(directory, name) + end)
      return join(directory, name)
    },
    [Symbol.dispose]: () => {
      moved.dispose()
    },
  }
}

describe('a server that was killed', () => {
  let killed: Killed
  beforeAll(async () => {
    killed = await killServer()
  })
  afterAll(() => {
    killed[Symbol.dispose]()
  })

  test('has lost nothing when all its files are there', () => {
    using storage = openDatabase(killed.copy('whole'))
    expect(keySetOf(storage).state?.lastJoinNonce).toBeGreaterThanOrEqual(killed.committed)
  })

  const flipped = (path: string, at: number): void => {
    const bytes = readFileSync(path)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at)
    writeFileSync(path, bytes)
  }
  const rows: { title: string; code: string; spoil: (path: string) => void }[] = [
    { title: 'the log deleted', code: 'database_log_missing', spoil: (path) => rmSync(`${path}-wal`) },
    {
      title: 'the log and the shared memory deleted',
      code: 'database_log_missing',
      spoil: (path) => {
        for (const end of ['-wal', '-shm']) rmSync(path + end)
      },
    },
    { title: 'the log emptied', code: 'database_log_missing', spoil: (path) => truncateSync(`${path}-wal`, 0) },
    { title: 'the log cut off', code: 'database_rolled_back', spoil: (path) => truncateSync(`${path}-wal`, 90_000) },
    {
      title: 'a flipped bit in the header of the log',
      code: 'database_rolled_back',
      spoil: (path) => {
        flipped(`${path}-wal`, 17)
      },
    },
    {
      title: 'a flipped bit in the second page of the log',
      code: 'database_rolled_back',
      spoil: (path) => {
        flipped(`${path}-wal`, WAL_HEADER_BYTES + FRAME_BYTES + 1000)
      },
    },
    {
      title: 'an older copy in its place, the log gone',
      code: 'database_log_missing',
      spoil: (path) => {
        for (const end of ['-wal', '-shm']) rmSync(path + end)
        copyFileSync(join(killed.directory, 'older'), path)
      },
    },
  ]

  test.each(rows)('is refused with $title, and left as it is', ({ title, code, spoil }) => {
    const path = killed.copy(title.replaceAll(/\W/g, '-'))
    spoil(path)
    const before = readFileSync(path)
    const log = existsSync(`${path}-wal`) ? readFileSync(`${path}-wal`) : undefined
    // A second try is no way past it.
    for (let attempt = 0; attempt < 2; attempt++) expect(() => openDatabase(path)).toThrow(failing(code))
    expect(readFileSync(path)).toEqual(before)
    if (log !== undefined) expect(readFileSync(`${path}-wal`)).toEqual(log)
    // The operator's word that this is to be gone on with.
    rmSync(`${path}.last-commit`)
    if (!existsSync(`${path}-wal`)) rmSync(`${path}-shm`, { force: true })
    using storage = openDatabase(path)
    expect(keySetOf(storage).state?.lastJoinNonce).toBeLessThanOrEqual(killed.committed)
  })

  test('is refused, or has every join that was answered, wherever its log is changed', () => {
    const random = randomOf(7)
    let refused = 0
    for (let trial = 0; trial < 40; trial++) {
      const path = killed.copy('changed')
      const log = readFileSync(`${path}-wal`)
      for (let count = 1 + random(3); count > 0; count--) log.writeUInt8(random(256), random(log.length))
      writeFileSync(`${path}-wal`, trial % 4 === 0 ? log.subarray(0, random(log.length)) : log)
      try {
        using storage = openDatabase(path)
        expect(keySetOf(storage).state?.lastJoinNonce).toBeGreaterThanOrEqual(killed.committed)
      } catch (error) {
        expect(error).toMatchObject({ name: 'StorageError' })
        refused++
      }
    }
    expect(refused).toBeGreaterThan(20)
  })

  test('may be looked at with other tools, which move the log into the database', () => {
    const path = killed.copy('looked-at')
    {
      using database = new DatabaseSync(path)
      expect(database.prepare('SELECT COUNT(*) AS count FROM device').get()).toEqual({ count: 1 })
    }
    expect(existsSync(`${path}-wal`)).toBe(false)
    using storage = openDatabase(path)
    expect(keySetOf(storage).state?.lastJoinNonce).toBeGreaterThanOrEqual(killed.committed)
  })
})

describe('the last commit', () => {
  test('is named in a file of mode 0600 that a closed database leaves, and that it opens with again', async () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    for (let opening = 1; opening <= 3; opening++) {
      using storage = openDatabase(path)
      if (opening === 1) await adopt(storage, newDevice())
      expect((await joinOnce(storage)).last.joinNonce).toBe(opening)
    }
    expect(readdirSync(directory.path)).toEqual(['database', 'database.last-commit'])
    expect(readFileSync(`${path}.last-commit`, 'utf8')).toMatch(
      /^mortise last commit 1: boot 0+7 worker 0+2 receipt \d+/,
    )
  })

  test('is that of a join, of an order and of receipts alone', async () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    const named = (): number => Number(/receipt (\d+)/.exec(readFileSync(`${path}.last-commit`, 'utf8'))?.[1])
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
    const afterOrder = named()
    await joinOnce(storage)
    const afterJoin = named()
    await storage.joins.commit([{ receipt: newReceipt() }, { receipt: newReceipt() }])
    expect([afterJoin - afterOrder, named() - afterJoin]).toEqual([1, 2])
  })

  test.each([
    ['changed', (line: string) => line.replace('worker 0', 'worker 1')],
    ['cut off', (line: string) => line.slice(0, 40)],
    ['of another program', () => 'hello\n'],
  ])('refuses the database when it is %s; emptied by a power failure it does not', async (_name, spoil) => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    {
      using storage = openDatabase(path)
      await adopt(storage, newDevice())
    }
    const file = `${path}.last-commit`
    writeFileSync(file, spoil(readFileSync(file, 'utf8')))
    expect(() => openDatabase(path)).toThrow(failing('database_corrupt'))
    writeFileSync(file, '')
    using storage = openDatabase(path)
    expect((await joinOnce(storage)).last.joinNonce).toBe(1)
  })

  test('is found where commits of one chain overtook one another', async () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    {
      using storage = openDatabase(path)
      await storage.joins.commit([{ receipt: newReceipt(100_006) }, { receipt: newReceipt(100_007) }])
      await storage.joins.commit([{ receipt: newReceipt(100_005) }, { receipt: newReceipt(100_009) }])
    }
    using storage = openDatabase(path)
    expect(storage.failure).toBeUndefined()
  })

  test('is forgotten with the database that it belongs to', () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    writeFileSync(`${path}.last-commit`, 'of one that was here before')
    createDatabase(path)
    using storage = openDatabase(path)
    expect(storage.administration.countDevices()).toBe(0)
  })

  test('does not keep a reader away', async () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    {
      using storage = openDatabase(path)
      await adopt(storage, newDevice())
    }
    copyFileSync(path, `${path}.copy`)
    using reader = openDatabase(`${path}.copy`, { readOnly: true })
    expect(keySetOf(reader).state).toBeUndefined()
  })
})
