import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { json, mortise, PASSPHRASE, start, transcriptOf, Workplace } from './mortise.ts'

let place: Workplace
beforeEach(() => {
  place = new Workplace()
})
afterEach(() => {
  place[Symbol.dispose]()
})

const init = (...more: string[]) => ['init', '--data', place.data, ...more]
const withPassphrase = (...more: string[]) => init('--passphrase-file', place.passphraseFile, ...more)

/** Every file below a directory, by its path from there. */
function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort()
}

describe('init', () => {
  test('makes an installation that only its owner can read, and says what lies where and what comes next', async () => {
    const { code, stdout, stderr } = await mortise(withPassphrase())
    expect(code).toBe(0)
    // Where the machine has swap, the ceremony says so.
    expect(stderr).toMatch(/^(mortise hsm: memory is not protected against [^\n]*\n)?$/)
    expect(filesOf(place.data)).toEqual([
      'ca.pem',
      'hsm/backend.json',
      'hsm/store',
      'mortise.db',
      'operator/api-key',
      'operator/ca-key.pem',
      'operator/hsm.json',
      'operator/operator-key.pem',
      'operator/recovery-key',
      'recovery.json',
      'tls/cert.pem',
      'tls/key.pem',
    ])
    for (const file of filesOf(place.data))
      expect([file, statSync(join(place.data, file)).mode & 0o777]).toEqual([file, 0o600])
    for (const directory of ['', 'hsm', 'operator', 'run', 'tls'])
      expect(statSync(join(place.data, directory)).mode & 0o777).toBe(0o700)
    for (const named of ['recovery-key', 'operator-key.pem', 'ca.pem', 'mortise serve', 'mortise peer add'])
      expect(stdout).toContain(named)
  })

  test('shows no secret that it made', async () => {
    const { stdout } = await mortise(withPassphrase())
    for (const file of ['operator/api-key', 'operator/recovery-key', 'operator/operator-key.pem'])
      expect(stdout).not.toContain(readFileSync(join(place.data, file), 'utf8').trim())
  })

  test('refuses a directory that has an installation, and leaves it as it is', async () => {
    await json(withPassphrase())
    const before = readFileSync(join(place.data, 'hsm/store'))
    const { code, stderr } = await mortise(withPassphrase())
    expect(code).toBe(1)
    expect(stderr).toContain('has an installation already')
    expect(stderr).toContain('mortise: hint: name another directory')
    expect(readFileSync(join(place.data, 'hsm/store')).equals(before)).toBe(true)
  })

  test('refuses a passphrase file that others can read with the command that mends it; that command mends it', async () => {
    const exposed = place.secret('exposed', 'a passphrase\n', 0o644)
    const { code, stderr } = await mortise(init('--passphrase-file', exposed))
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `mortise: error: ${exposed} can be read by others\nmortise: hint: chmod 600 ${exposed}\n`,
    })
    expect(existsSync(place.data)).toBe(false)
  })

  test('without a terminal asks for a passphrase file and says how to make one', async () => {
    const { code, stderr } = await mortise(init())
    expect(code).toBe(1)
    expect(stderr).toContain('umask 077 && openssl rand')
    expect(existsSync(place.data)).toBe(false)
  })

  test('removes what it made when the HSM cannot be made, and only that', async () => {
    mkdirSync(place.data, { mode: 0o700 })
    writeFileSync(join(place.data, 'mine.txt'), 'keep me')
    const pkcs11 = ['--hsm', 'pkcs11', '--pkcs11-module', '/nowhere/libnone.so', '--pkcs11-token', 'none']
    const { code, stderr } = await mortise(init(...pkcs11, '--pin-file', place.secret('pin', '1234\n')))
    expect(code).toBe(1)
    expect(stderr).toContain('the HSM could not be made')
    expect(readdirSync(place.data)).toEqual(['mine.txt'])
  })

  test('never writes over a recovery key', async () => {
    const other = place.secret('recovery-key', 'the key of another recovery file')
    const { code, stderr } = await mortise(withPassphrase('--recovery-key-file', other))
    expect(code).toBe(1)
    expect(stderr).toContain(`${other} is there already`)
    expect(readFileSync(other, 'utf8')).toBe('the key of another recovery file')
    expect(existsSync(place.data)).toBe(false)
  })

  test('writes the recovery key where it is told', async () => {
    mkdirSync(place.path('usb'))
    const elsewhere = place.path('usb/recovery-key')
    const facts = await json<{ recoveryKeyFile: string }>(withPassphrase('--recovery-key-file', elsewhere))
    expect(facts.recoveryKeyFile).toBe(elsewhere)
    expect(readFileSync(elsewhere, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
    expect(filesOf(place.data)).not.toContain('operator/recovery-key')
  })

  test('makes no directory for it outside its own: a medium may not be mounted', async () => {
    const { code, stderr } = await mortise(withPassphrase('--recovery-key-file', place.path('usb/recovery-key')))
    expect(code).toBe(1)
    expect(stderr).toContain(`${place.path('usb')} is not a directory`)
    expect(existsSync(place.path('usb'))).toBe(false)
    expect(existsSync(place.data)).toBe(false)
  })

  test('refuses a file as its directory', async () => {
    const { code, stderr } = await mortise(['init', '--data', place.secret('file', 'x'), '--passphrase-file', 'none'])
    expect(code).toBe(1)
    expect(stderr).toContain('is a file')
  })

  test('names the server in its certificate', async () => {
    await json(withPassphrase('--server-name', 'js.example', '--server-name', '192.0.2.7'))
    const certificate = new X509Certificate(readFileSync(join(place.data, 'tls/cert.pem')))
    for (const name of ['DNS:localhost', 'DNS:js.example', 'IP Address:127.0.0.1', 'IP Address:192.0.2.7'])
      expect(certificate.subjectAltName).toContain(name)
  })

  test('refuses a directory whose name leaves no room for a socket', async () => {
    const { code, stderr } = await mortise(['init', '--data', place.path('x'.repeat(100)), '--passphrase-file', 'none'])
    expect(code).toBe(1)
    expect(stderr).toContain('too long a name')
  })

  test('closes a directory that was open to others', async () => {
    mkdirSync(place.data, { mode: 0o755 })
    await json(withPassphrase())
    expect(statSync(place.data).mode & 0o777).toBe(0o700)
  })

  test.each([
    ['a passphrase for a token', ['--hsm', 'pkcs11', '--passphrase-file', 'p']],
    ['a token without its library', ['--hsm', 'pkcs11', '--pkcs11-token', 'label']],
    ['a library for the soft HSM', ['--pkcs11-module', 'lib.so']],
    ['a server name that is none', ['--server-name', 'not a name']],
    ['an unknown kind of HSM', ['--hsm', 'cloud']],
  ])('refuses %s as wrong usage', async (_what, options) => {
    const { code, stderr } = await mortise(init(...options))
    expect(code).toBe(2)
    expect(stderr).toMatch(/^mortise: error: /)
  })
})

describe('secrets', () => {
  test('stand in no command line and no environment of any process of init; a planted one is found', async () => {
    const child = start(withPassphrase(), { env: { MORTISE_TEST_NEEDLE: 'planted-needle' } })
    const ended = transcriptOf(child)
    const seen = new Map<number, string>()
    const state = { running: true }
    void ended.then(() => (state.running = false))
    while (state.running) {
      for (const pid of familyOf(child.pid ?? 0)) seen.set(pid, `${seen.get(pid) ?? ''}${publicFactsOf(pid)}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect((await ended).code).toBe(0)
    const all = [...seen.values()].join('\n')
    // The command itself and the ceremony, which is the process that reads the passphrase.
    expect(seen.size).toBeGreaterThanOrEqual(2)
    expect(all).toContain('/ceremony/')
    expect(all).toContain('planted-needle')
    const made = ['operator/api-key', 'operator/recovery-key'].map((file) =>
      readFileSync(join(place.data, file), 'utf8').trim(),
    )
    for (const secret of [PASSPHRASE, ...made]) expect(all).not.toContain(secret)
  })
})

function familyOf(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(familyOf)]
}

function publicFactsOf(pid: number): string {
  return `${readProc(`/proc/${pid}/cmdline`)}\n${readProc(`/proc/${pid}/environ`)}\n`
}

/** Empty when the process has ended meanwhile. */
function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
