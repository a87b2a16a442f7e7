import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { mortise } from '../packages/cli/test/mortise.ts'
import { SecretSearch } from './support/secret-search.ts'

/** What the bridge's commands say of a secret that they cannot use: every 16 characters of it are looked for. */
const WINDOW = 16

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mortise-bridge-leaks-'))
  file('kek.hex', `${randomBytes(32).toString('hex')}\n`)
  file('password', 'harmless\n')
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

function file(name: string, content: string): string {
  const path = join(root, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

function windowsOf(secret: string): SecretSearch {
  const starts = Array.from({ length: secret.length - WINDOW + 1 }, (_, start) => start)
  return new SecretSearch(
    new Map(starts.map((start) => [`at ${start}`, Buffer.from(secret.slice(start, start + WINDOW))])),
  )
}

function configuration() {
  return {
    source: {
      kind: 'chirpstack',
      mqtt: { url: 'mqtt://127.0.0.1:1', clientId: 'bridge', username: 'bridge', passwordFile: 'password' },
    } as Draft,
    sinks: [{ kind: 'stdout' }] as Draft[],
    keks: [{ label: 'one', keyFile: 'kek.hex' } as Draft],
  }
}

type Draft = Record<string, unknown>
type Configuration = ReturnType<typeof configuration>

const SECRETS: Readonly<Record<string, () => string>> = {
  hex: () => randomBytes(32).toString('hex'),
  base64: () => randomBytes(32).toString('base64'),
}

/** Where a secret stands that has no place there; returns the file that has it. */
const PLACES: readonly (readonly [what: string, place: (secret: string, config: Configuration) => string])[] = [
  [
    'a password in the configuration',
    (secret, config) => written(config, () => (config.source['mqtt'] = { password: secret })),
  ],
  [
    'a KEK in the configuration',
    (secret, config) => written(config, () => (config.keks = [{ label: 'one', key: secret }])),
  ],
  [
    'a KEK where its label belongs',
    (secret, config) => written(config, () => (config.keks = [{ label: `${secret} `, keyFile: 'kek.hex' }])),
  ],
  ['a KEK as a member', (secret, config) => written(config, () => (config.source[secret] = 'kek'))],
  [
    'a password in a URL',
    (secret, config) =>
      written(config, () => (config.sinks = [{ kind: 'http', url: `https://a:${secret}@b.example` }])),
  ],
  ['a secret in broken YAML', (secret) => file('config.yaml', `source: "${secret}\n`)],
  ['a secret alone', (secret) => file('config.yaml', secret)],
  [
    'a KEK that is too long',
    (secret, config) => written(config, () => undefined, file('kek.hex', `${secret}${secret}\n`)),
  ],
  [
    'a private key that is cut short',
    (secret, config) =>
      written(
        config,
        () => Object.assign(config.source['mqtt'] as Draft, { certFile: 'key.pem', keyFile: 'key.pem' }),
        file('key.pem', `-----BEGIN PRIVATE KEY-----\n${secret}`),
      ),
  ],
  [
    'a password of two lines',
    (secret, config) => written(config, () => undefined, file('password', `${secret}\n${secret}\n`)),
  ],
]

function written(config: Configuration, spoil: () => unknown, secretFile?: string): string {
  spoil()
  const path = file('config.yaml', stringify(config))
  return secretFile ?? path
}

describe('a secret that cannot be used is not repeated by', () => {
  const rows = PLACES.flatMap(([what, place]) =>
    ['check', 'run'].flatMap((command) =>
      Object.entries(SECRETS).map(([kind, make]) => [command, what, kind, place, make] as const),
    ),
  )
  test.each(rows)('bridge %s: %s, %s', async (command, _what, _kind, place, make) => {
    const secret = make()
    const path = place(secret, configuration())
    const search = windowsOf(secret)
    expect(search.findInText(readFileSync(path))).not.toEqual([])
    const { code, stdout, stderr } = await mortise(['bridge', command, '--config', join(root, 'config.yaml')])
    expect(code).toBe(1)
    expect(stdout + stderr).toContain('What to do: ')
    expect(search.findInText(stdout + stderr)).toEqual([])
  })
})
