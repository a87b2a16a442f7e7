import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { Connection } from '../../src/storage/sqlite/connection.ts'
import { setUpWriter } from '../../src/storage/sqlite/settings.ts'
import { adopt, joinOnce, keySetOf, newDevice, temporaryDirectory } from './fixtures.ts'

const failing = (code: string) => expect.objectContaining({ name: 'StorageError', code }) as unknown

const PAGE = 4096

/** A database with a device that joined, closed. */
async function madeDatabase(directory: string): Promise<string> {
  const path = join(directory, 'database')
  createDatabase(path)
  using storage = openDatabase(path)
  await adopt(storage, newDevice())
  await joinOnce(storage)
  return path
}

describe('creating', () => {
  test('makes one file of mode 0600, and its log and shared memory get the same', () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    createDatabase(path)
    expect(readdirSync(directory.path)).toEqual(['database'])
    using storage = openDatabase(path)
    expect(storage.administration.listPeers()).toEqual([])
    const modes = readdirSync(directory.path).map((name) => [name, statSync(join(directory.path, name)).mode & 0o777])
    expect(modes).toEqual([
      ['database', 0o600],
      ['database-shm', 0o600],
      ['database-wal', 0o600],
    ])
  })

  test('leaves what is there alone', () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    writeFileSync(path, 'mine')
    expect(() => {
      createDatabase(path)
    }).toThrow(failing('database_exists'))
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })

  test('replaces what a crash during an earlier creation left', () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    for (const end of ['.new', '.new-wal', '.new-shm']) writeFileSync(path + end, 'half')
    createDatabase(path)
    expect(readdirSync(directory.path)).toEqual(['database'])
    using storage = openDatabase(path)
    expect(storage.administration.countDevices()).toBe(0)
  })

  test('in a missing directory is refused', () => {
    using directory = temporaryDirectory()
    expect(() => {
      createDatabase(join(directory.path, 'none', 'database'))
    }).toThrow(failing('database_missing'))
  })
})

describe('opening', () => {
  test('a missing file makes none', () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    expect(() => openDatabase(path)).toThrow(failing('database_missing'))
    expect(existsSync(path)).toBe(false)
  })

  test('reading only sees what is there and changes nothing, beside a writer too', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    using writer = openDatabase(path)
    using reader = openDatabase(path, { readOnly: true })
    expect(keySetOf(reader).state?.lastJoinNonce).toBe(1)
    await joinOnce(writer)
    expect(keySetOf(reader).state?.lastJoinNonce).toBe(2)
    await expect(reader.administration.recordHsmEpoch(99)).rejects.toEqual(failing('database_read_only'))
    await expect(joinOnce(reader)).rejects.toEqual(failing('database_read_only'))
    expect(writer.administration.hsmEpoch()).toBeLessThan(99)
  })

  test('a commit while another process writes is refused as locked, and works after', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    using storage = openDatabase(path)
    using other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    await expect(joinOnce(storage)).rejects.toEqual(failing('database_locked'))
    other.exec('ROLLBACK')
    expect((await joinOnce(storage)).last.joinNonce).toBe(2)
  })

  test('where SQLite cannot keep a write-ahead log, nothing is promised', () => {
    using connection = new Connection(':memory:', { readOnly: false })
    expect(() => {
      setUpWriter(connection)
    }).toThrow(failing('database_not_durable'))
  })

  test('every commit is synced, deleted content is overwritten, foreign keys are checked', async () => {
    using directory = temporaryDirectory()
    using connection = new Connection(await madeDatabase(directory.path), { readOnly: false })
    setUpWriter(connection)
    const settings = ['journal_mode', 'synchronous', 'secure_delete', 'foreign_keys']
    expect(settings.map((setting) => connection.pragma(setting))).toEqual(['wal', 1, 1, 1])
  })
})

describe('a damaged file', () => {
  function overwrite(path: string, at: number, bytes: Buffer): void {
    const content = readFileSync(path)
    bytes.copy(content, at)
    writeFileSync(path, content)
  }
  const rows: { title: string; damage: (path: string) => void }[] = [
    {
      title: 'no bytes',
      damage: (path) => {
        truncateSync(path, 0)
      },
    },
    {
      title: 'text',
      damage: (path) => {
        writeFileSync(path, 'not a database\n'.repeat(500))
      },
    },
    {
      title: 'a flipped byte in the magic',
      damage: (path) => {
        overwrite(path, 3, Buffer.from('x'))
      },
    },
    {
      title: 'a flipped byte in the page size',
      damage: (path) => {
        overwrite(path, 16, Buffer.from([0x11]))
      },
    },
    {
      title: 'a flipped byte in the application id',
      damage: (path) => {
        overwrite(path, 68, Buffer.from([0]))
      },
    },
    {
      title: 'a flipped byte in the schema',
      damage: (path) => {
        overwrite(path, readFileSync(path).indexOf('CREATE TABLE device'), Buffer.from('X'))
      },
    },
    {
      title: 'a flipped byte in the header of a page',
      damage: (path) => {
        overwrite(path, 5 * PAGE, Buffer.from([0xff]))
      },
    },
    {
      title: 'a page of zeros',
      damage: (path) => {
        overwrite(path, 6 * PAGE, Buffer.alloc(PAGE))
      },
    },
    {
      title: 'a missing last page',
      damage: (path) => {
        truncateSync(path, statSync(path).size - PAGE)
      },
    },
    {
      title: 'half a file',
      damage: (path) => {
        truncateSync(path, Math.floor(statSync(path).size / 2))
      },
    },
    {
      title: 'only the header',
      damage: (path) => {
        truncateSync(path, 100)
      },
    },
  ]

  test.each(rows)('$title: refused as corrupt and left as it is; its intact twin opens', async ({ damage }) => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    const twin = join(directory.path, 'twin')
    copyFileSync(path, twin)
    damage(path)
    const damaged = readFileSync(path)
    for (const readOnly of [false, true])
      expect(() => openDatabase(path, { readOnly })).toThrow(failing('database_corrupt'))
    expect(readFileSync(path)).toEqual(damaged)
    using storage = openDatabase(twin)
    expect(keySetOf(storage).state?.lastJoinNonce).toBe(1)
  })

  test("another program's database is refused and left as it is", () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, 'database')
    {
      using database = new DatabaseSync(path)
      database.exec('CREATE TABLE theirs (a)')
    }
    const content = readFileSync(path)
    expect(() => openDatabase(path)).toThrow(failing('database_corrupt'))
    expect(readFileSync(path)).toEqual(content)
  })
})

describe('a directory that may not be written to', () => {
  /** As somebody whom file modes bind, which they do not bind root. */
  function withoutPrivileges(work: () => void): void {
    const user = process.geteuid?.()
    if (user === 0) process.seteuid?.(65534)
    try {
      work()
    } finally {
      if (user === 0) process.seteuid?.(0)
    }
  }

  test('takes no new database and opens none for writing; a writable one does both', async () => {
    using directory = temporaryDirectory()
    const path = await madeDatabase(directory.path)
    const files = [directory.path, ...readdirSync(directory.path).map((name) => join(directory.path, name))]
    if (process.geteuid?.() === 0) for (const file of files) chownSync(file, 65534, 65534)
    chmodSync(directory.path, 0o500)
    chmodSync(path, 0o400)
    const before = readFileSync(path)
    withoutPrivileges(() => {
      expect(() => {
        createDatabase(`${path}-2`)
      }).toThrow(failing('database_read_only'))
      expect(() => openDatabase(path)).toThrow(failing('database_read_only'))
    })
    expect(readFileSync(path)).toEqual(before)
    chmodSync(directory.path, 0o700)
    chmodSync(path, 0o600)
    withoutPrivileges(() => {
      createDatabase(`${path}-2`)
      using storage = openDatabase(path)
      expect(keySetOf(storage).state?.lastJoinNonce).toBe(1)
    })
  })
})
