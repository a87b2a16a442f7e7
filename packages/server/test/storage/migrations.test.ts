import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { createDatabase, openDatabase } from '../../src/storage/index.ts'
import { MIGRATIONS } from '../../src/storage/migrations/index.ts'
import { Connection } from '../../src/storage/sqlite/connection.ts'
import { migrate, schemaVersion } from '../../src/storage/sqlite/migrate.ts'
import { adopt, keySetOf, newDevice, temporaryDirectory } from './fixtures.ts'

const memory = () => new Connection(':memory:', { readOnly: false })

function tables(connection: Connection): unknown[] {
  return connection
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all()
    .map(({ name }) => name)
}

test('an empty file gets the whole schema, every table of it STRICT', () => {
  using connection = memory()
  migrate(connection)
  expect(schemaVersion(connection)).toBe(MIGRATIONS.length)
  expect(tables(connection)).toEqual([
    'agreement',
    'api_key',
    'deferred_request',
    'device',
    'kek',
    'key_set',
    'meta',
    'organisation',
    'peer',
    'peer_certificate',
    'peer_token',
    'receipt',
    'receipt_head',
    'route',
    'stored_order',
  ])
  const lenient = connection.prepare("SELECT name FROM pragma_table_list WHERE strict = 0 AND name NOT LIKE 'sqlite_%'")
  expect(lenient.all()).toEqual([])
})

test("every row of an owner's data names its organisation", () => {
  using connection = memory()
  migrate(connection)
  const ofTheInstallation = ['meta', 'organisation', 'receipt', 'receipt_head']
  const columns = connection.prepare('SELECT name FROM pragma_table_info(?) WHERE name = ? AND "notnull" = 1')
  const without = tables(connection).filter((table) => columns.get(String(table), 'organisation') === undefined)
  expect(without).toEqual(ofTheInstallation)
})

test('a second run changes nothing', () => {
  using connection = memory()
  migrate(connection)
  const before = connection.pragma('schema_version')
  migrate(connection)
  expect(connection.pragma('schema_version')).toBe(before)
})

test('only what is missing is applied, one version at a time', () => {
  using connection = memory()
  migrate(connection, ['CREATE TABLE one (a)'])
  migrate(connection, ['CREATE TABLE one (a)', 'CREATE TABLE two (a)', 'ALTER TABLE two ADD COLUMN b'])
  expect(schemaVersion(connection)).toBe(3)
  expect(tables(connection)).toEqual(['one', 'two'])
})

test('a migration that fails leaves the version before it, whole', () => {
  using connection = memory()
  const broken = 'CREATE TABLE two (a); INSERT INTO none VALUES (1)'
  expect(() => {
    migrate(connection, ['CREATE TABLE one (a)', broken])
  }).toThrow(expect.objectContaining({ name: 'StorageError', code: 'database_failed' }))
  expect(schemaVersion(connection)).toBe(1)
  expect(tables(connection)).toEqual(['one'])
  migrate(connection, ['CREATE TABLE one (a)', 'CREATE TABLE two (a)'])
  expect(tables(connection)).toEqual(['one', 'two'])
})

test('what the first version holds outlives the migrations after it', () => {
  using connection = memory()
  migrate(connection, MIGRATIONS.slice(0, 1))
  connection.execute('INSERT INTO meta (id, created_at, hsm_epoch) VALUES (1, 5, 7)')
  migrate(connection)
  const row = connection.prepare('SELECT hsm_epoch, operator_public_key FROM meta').get()
  expect(row).toEqual({ hsm_epoch: 7, operator_public_key: null })
})

function setVersion(path: string, version: number): void {
  using database = new DatabaseSync(path)
  database.exec(`PRAGMA user_version = ${version}`)
}

test('a database from a newer release is refused, untouched, and opens again as its own version', async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  {
    using storage = openDatabase(path)
    await adopt(storage, newDevice())
  }
  setVersion(path, MIGRATIONS.length + 1)
  for (const readOnly of [false, true])
    expect(() => openDatabase(path, { readOnly })).toThrow(
      expect.objectContaining({ name: 'StorageError', code: 'database_newer' }),
    )
  setVersion(path, MIGRATIONS.length)
  using storage = openDatabase(path)
  expect(keySetOf(storage).generation).toBe(1)
})

test('a database that would have to be migrated is not opened for reading only', () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, 'database')
  createDatabase(path)
  setVersion(path, MIGRATIONS.length - 1)
  expect(() => openDatabase(path, { readOnly: true })).toThrow(expect.objectContaining({ code: 'database_older' }))
})
