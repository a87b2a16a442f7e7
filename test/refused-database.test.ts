import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FleetScene } from './support/fleet.ts'
import type { Installation } from './support/installation.ts'

/** A database that has lost commits, is damaged or cannot be written is refused; with everything in its place it is not. */

const DEVICES = 2
const ROUNDS = 3
const DATABASE_FILES = ['mortise.db', 'mortise.db-wal', 'mortise.db-shm', 'mortise.db.last-commit']
/** More than a server checks before it uses it. */
const LARGE_BYTES = 40 * 1024 * 1024
const PAGE_BYTES = 4096

let scene: FleetScene
let installation: Installation
/** The files as a server leaves them that was killed in the middle of joins, and as they were before. */
let kept: string
let older: string

beforeAll(async () => {
  scene = await FleetScene.create(DEVICES)
  installation = scene.installation
  kept = join(installation.root, 'kept')
  older = join(installation.root, 'older')
  copyDatabase(installation.data, older)
  const server = await installation.serve()
  using fleet = scene.connect(server)
  for (let round = 0; round < ROUNDS; round++) expect(await fleet.joinOnce()).toBe(DEVICES)
  await server.kill('SIGKILL')
  copyDatabase(installation.data, kept)
})
afterAll(() => scene[Symbol.asyncDispose]())

interface Spoilt {
  readonly title: string
  readonly code: string
  readonly spoil: (database: string) => void
}

const SPOILT: readonly Spoilt[] = [
  {
    title: 'whose log was deleted after a crash',
    code: 'database_log_missing',
    spoil: (database) => {
      rmSync(`${database}-wal`)
    },
  },
  {
    title: 'whose log was cut off',
    code: 'database_rolled_back',
    spoil: (database) => {
      truncateSync(`${database}-wal`, 5000)
    },
  },
  {
    title: 'that is an older copy',
    code: 'database_log_missing',
    spoil: (database) => {
      for (const end of ['-wal', '-shm']) rmSync(database + end)
      copyFileSync(join(older, 'mortise.db'), database)
    },
  },
  {
    title: 'whose last commit nobody can tell',
    code: 'database_corrupt',
    spoil: (database) => {
      writeFileSync(`${database}.last-commit`, 'x')
    },
  },
]

test.each(SPOILT)('serve refuses a database $title, and says where to read on', async ({ code, spoil }) => {
  copyDatabase(kept, installation.data)
  spoil(join(installation.data, 'mortise.db'))
  const { code: exitCode, stderr } = await installation.try('serve', ...installation.secretOption())
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(new RegExp(`^mortise: error: .*\\[${code}\\]$`, 'm'))
  expect(stderr).toMatch(/^mortise: hint: .*docs\/operations\.md/m)
})

test.each([
  ['directory', '.', 0o500],
  ['database', 'mortise.db', 0o400],
])('serve refuses a %s that it may not write', async (_name, file, mode) => {
  copyDatabase(kept, installation.data)
  const path = join(installation.data, file)
  const before = statSync(path).mode
  using user = unprivileged()
  chmodSync(path, mode)
  const server = installation.startUnder(user.command, 'serve', ...installation.secretOption())
  await once(server.child, 'close')
  chmodSync(path, before)
  expect(server.child.exitCode).toBe(1)
  expect(server.output).toContain('[database_read_only]')
})

test('serve stops answering from a large database in which it finds damage', async () => {
  copyDatabase(kept, installation.data)
  const database = join(installation.data, 'mortise.db')
  makeLarge(database)
  const intact = await installation.serve()
  await intact.says('the whole database was checked')
  await intact.kill('SIGTERM')

  emptyIndex(database, 'key_set_by_device')
  const listeners = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
  const server = installation.start('serve', ...installation.secretOption(), ...listeners)
  await server.says('HSM: ready')
  await server.says('database_corrupt')
  const [, biUrl, apiUrl] = /Backend Interfaces on (\S+), management API on (\S+)/.exec(server.output) ?? []
  Object.assign(server, { biUrl, apiUrl })
  expect(await scene.readiness(server)).toContain('database: database_corrupt')
  using fleet = scene.connect(server)
  expect(await fleet.joinOnce()).toBe(0)
  await server.kill('SIGTERM')
})

test('serve takes the database when everything is in its place, and no JoinNonce is given twice', async () => {
  copyDatabase(kept, installation.data)
  const server = await installation.serve()
  using fleet = scene.connect(server)
  expect(await fleet.joinOnce()).toBe(DEVICES)
  await server.kill('SIGTERM')
  scene.expectEveryJoinNonceOnce()
})

function copyDatabase(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const name of DATABASE_FILES) {
    rmSync(join(to, name), { force: true })
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name))
  }
}

/** A user whom file modes bind, which they do not bind root; everything of the installation is his meanwhile. */
function unprivileged(): Disposable & { readonly command: readonly string[] } {
  if (process.geteuid?.() !== 0) return { command: [], [Symbol.dispose]: () => undefined }
  const own = (user: string): void => {
    execFileSync('chown', ['-R', user, installation.root])
  }
  own('65534:65534')
  return {
    command: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
    [Symbol.dispose]: () => {
      own('0:0')
    },
  }
}

function makeLarge(path: string): void {
  using database = new DatabaseSync(path)
  const insert = database.prepare(
    'INSERT INTO receipt (boot_epoch, worker, first_sequence, last_sequence, bodies) VALUES (1, 1, ?, ?, zeroblob(?))',
  )
  const bytes = 1024 * 1024
  for (let row = 0; row < LARGE_BYTES / bytes; row++) insert.run(row, row, bytes)
}

/** Overwrites the first page of an index with zeros. */
function emptyIndex(path: string, name: string): void {
  using database = new DatabaseSync(path)
  const row = database.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(name)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, (Number(row?.['rootpage']) - 1) * PAGE_BYTES)
  closeSync(file)
}
