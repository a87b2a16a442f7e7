import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { splitReceipts } from '@mortise/hsm'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { storageContract } from './contract/storage-contract.ts'
import type { StorageUnderTest } from './contract/subject.ts'
import { temporaryDirectory } from './fixtures.ts'

function makeSqlite(): StorageUnderTest {
  const directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  let storage: Storage = openDatabase(path)
  function rows(sql: string): unknown[][] {
    using database = new DatabaseSync(path, { readOnly: true })
    return database
      .prepare(sql)
      .all()
      .map((row) => Object.values(row))
  }
  return {
    get storage() {
      return storage
    },
    receipts: () => {
      const bodies = rows('SELECT bodies FROM receipt ORDER BY boot_epoch, worker, first_sequence, id').flatMap(
        ([bytes]) => splitReceipts(Buffer.from(bytes as Uint8Array)),
      )
      return [...new Map(bodies.map((body) => [body.toString('hex'), body])).values()]
    },
    heads: () =>
      rows('SELECT boot_epoch, worker, sequence, closing FROM receipt_head ORDER BY 1, 2, 3, 4').map((row) =>
        row.join('/'),
      ),
    reopen() {
      storage[Symbol.dispose]()
      storage = openDatabase(path)
      return storage
    },
    [Symbol.dispose]() {
      storage[Symbol.dispose]()
      directory[Symbol.dispose]()
    },
  }
}

storageContract('SQLite', makeSqlite)
