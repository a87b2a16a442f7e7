import {
  copyFileSync,
  cpSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { acquireDirectoryLock } from '../packages/server/src/lock/index.ts'
import { BACKENDS, Installation } from './support/installation.ts'
import { addPeer, AS_ID, enrolDevice, joinDevice, NET_ID, networkServer, setKek } from './support/parties.ts'

/** A server that cannot be trusted to be right does not start, and says why. Every fault has its good twin beside it. */

const SERVE = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']

async function failsToServe(installation: Installation): Promise<string> {
  const result = await installation.try('serve', ...installation.secretOption(), ...SERVE)
  expect(result.code).not.toBe(0)
  return result.stderr
}

function flip(path: string, offset: number, bytes = 1): void {
  const content = readFileSync(path)
  for (let i = 0; i < bytes; i++) content.writeUInt8((content[offset + i] ?? 0) ^ 0xff, offset + i)
  const file = openSync(path, 'r+')
  writeSync(file, content)
  closeSync(file)
}

describe('serve does not start', () => {
  test('when the directory is locked by a running server, which goes on', async () => {
    await using installation = await Installation.create()
    const server = await installation.serve()
    expect(await failsToServe(installation)).toMatch(/running|locked/)
    expect(server.ended).toBe(false)
  })

  test('while a command has the directory for long; when it has it for a moment, it waits', async () => {
    await using installation = await Installation.create()
    const held = acquireDirectoryLock(installation.data)
    expect(await failsToServe(installation)).toMatch(/running|locked/)
    const starting = installation.serve()
    await delay(2000)
    held[Symbol.dispose]()
    expect((await starting).ended).toBe(false)
  })

  test('on a database that is no database, on a damaged one, and from a newer version', async () => {
    await using installation = await Installation.create()
    await enrolDevice(installation, '1.0.4')
    const database = join(installation.data, 'mortise.db')
    copyFileSync(database, `${database}.good`)
    for (const [spoil, message] of [
      [
        () => {
          flip(database, 0, 16)
        },
        /corrupt|not a database/,
      ],
      [
        () => {
          flip(database, 4096, 2000)
        },
        /corrupt|malformed|damaged/,
      ],
      [
        () => {
          truncateSync(database, 5000)
        },
        /corrupt|malformed|damaged/,
      ],
      [
        () => {
          newerVersion(database)
        },
        /newer/,
      ],
    ] as const) {
      spoil()
      expect(await failsToServe(installation)).toMatch(message)
      copyFileSync(`${database}.good`, database)
    }
    await installation.serve()
  })

  test('without a database, and without an installation', async () => {
    await using installation = await Installation.create()
    renameSync(join(installation.data, 'mortise.db'), join(installation.root, 'kept.db'))
    expect(await failsToServe(installation)).toMatch(/no Mortise installation/)
    renameSync(join(installation.root, 'kept.db'), join(installation.data, 'mortise.db'))
    await installation.serve()
  })
})

describe.each(BACKENDS)('the HSM process, %s', (backend) => {
  test('does not open a damaged store, nor with a wrong passphrase or PIN; the server stays not ready', async () => {
    await using installation = await Installation.create(backend)
    const store = join(installation.data, 'hsm', 'store')
    copyFileSync(store, join(installation.root, 'good-store'))
    flip(store, readFileSync(store).length - 40)
    const damaged = await installation.try('hsm', 'serve', ...installation.secretOption())
    expect(damaged.code).toBe(1)
    copyFileSync(join(installation.root, 'good-store'), store)
    const wrong = installation.secret('wrong', 'wrong-secret\n')
    const option = backend === 'soft' ? '--passphrase-file' : '--pin-file'
    const refused = await installation.try('hsm', 'serve', option, wrong)
    expect(refused.code).toBe(1)
    expect(refused.stderr).not.toContain('wrong-secret')
    await installation.serve()
  })

  test('that is given a wrong secret, or one of the other kind, ends the server at once: nothing is tried twice', async () => {
    await using installation = await Installation.create(backend)
    const wrong = installation.secret('wrong', 'wrong-secret\n')
    const [own, other] = backend === 'soft' ? ['--passphrase-file', '--pin-file'] : ['--pin-file', '--passphrase-file']
    const refused = await installation.try('serve', own, wrong, ...SERVE)
    expect(refused.code).toBe(1)
    expect(refused.stderr.match(/^mortise hsm: error: /gm)).toHaveLength(1)
    expect(refused.stderr).toContain(wrong)
    expect(refused.stderr).toContain(`${own} FILE`)
    expect(refused.stderr).toContain('mortise: error: the HSM process refuses')
    expect(refused.stderr).not.toMatch(/wrong-secret|starting it again/)
    const otherKind = await installation.try('serve', other, installation.secretFile, ...SERVE)
    expect(otherKind.code).toBe(1)
    expect(otherKind.stderr).toContain(`this HSM takes ${own}`)
    await installation.serve()
  })

  test('refuses a store that is older than the database knows, after any number of starts, until the operator accepts it', async () => {
    await using installation = await Installation.create(backend)
    const hsm = join(installation.data, 'hsm')
    cpSync(hsm, join(installation.root, 'old'), { recursive: true })
    const first = await installation.serve()
    await enrolDevice(installation, '1.0.4')
    await first.kill('SIGTERM')
    rmSync(hsm, { recursive: true })
    cpSync(join(installation.root, 'old'), hsm, { recursive: true })
    for (let start = 0; start < 3; start++) {
      const server = installation.start('serve', ...installation.secretOption(), ...SERVE)
      await expect.poll(() => server.output, { timeout: 15_000 }).toMatch(/rolled.back/)
      await server.kill('SIGTERM')
    }
    const server = installation.start('serve', ...installation.secretOption(), ...SERVE)
    await expect.poll(() => server.output, { timeout: 15_000 }).toMatch(/rolled.back/)
    expect((await installation.json('status')) as object).toMatchObject({ hsm: { state: 'rolled-back' } })
    await installation.mortise('accept-rollback', '--yes')
    await server.ready(installation)
  })

  test('that starts sealed makes the server wait, and serves after `mortise unseal`', async () => {
    await using installation = await Installation.create(backend)
    const directory = await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'as', AS_ID)
    await setKek(installation, 'as', AS_ID, 'owner-1')
    const { device } = await enrolDevice(installation, '1.1.0')
    const server = installation.start('serve', ...SERVE)
    await expect.poll(() => server.output, { timeout: 15_000 }).toMatch(/sealed/)
    await installation.mortise('unseal', ...installation.secretOption())
    await server.ready(installation)
    await using network = networkServer(server, directory)
    expect((await joinDevice(network, device)).joinNonce).toBe(1)
  })
})

function newerVersion(database: string): void {
  // PRAGMA user_version is the four bytes at offset 60 of the file (SQLite file format §1.3.17).
  const content = readFileSync(database)
  content.writeUInt32BE(9999, 60)
  writeFileSync(database, content)
}
