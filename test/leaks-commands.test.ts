import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CommandResult, Installation } from './support/installation.ts'
import { JOIN_EUI } from './support/parties.ts'
import { SecretSearch } from './support/secret-search.ts'

/** What a command says of a secret that it cannot use. The secret is spoilt, so every 16 characters of it are looked for. */
const WINDOW = 16
const DEV_EUI = '70b3d57ed005c0de'

let installation: Installation
beforeAll(async () => {
  installation = await Installation.create()
})
afterAll(() => installation[Symbol.asyncDispose]())

function windowsOf(secret: string): SecretSearch {
  const starts = Array.from({ length: secret.length - WINDOW + 1 }, (_, start) => start)
  return new SecretSearch(
    new Map(starts.map((start) => [`at ${start}`, Buffer.from(secret.slice(start, start + WINDOW))])),
  )
}

/** The command fails with this code, and says nothing of the secret; the file would have told it. */
async function failsQuietly(code: string, secret: string, file: string, ...args: string[]): Promise<CommandResult> {
  const search = windowsOf(secret)
  expect(search.findInText(readFileSync(file))).not.toEqual([])
  const result = await installation.try(...args)
  expect(result.code).not.toBe(0)
  expect(`${result.stderr}${result.stdout}`).toContain(code)
  expect(search.findInText(result.stdout)).toEqual([])
  expect(search.findInText(result.stderr)).toEqual([])
  return result
}

describe('a secret that cannot be used is not repeated:', () => {
  const hex = () => randomBytes(16).toString('hex')
  const base64 = () => randomBytes(16).toString('base64')

  test.each<[string, () => string, (key: string) => string]>([
    ['a file cut short', hex, (key) => `{"appKey": "${key}`],
    ['a digit that is none', () => `${hex().slice(0, 31)}g`, (key) => JSON.stringify({ appKey: key })],
    ['a key in base64 where a name belongs', base64, (key) => JSON.stringify({ [key]: 'appKey' })],
  ])('keys file: %s', async (_name, makeKey, content) => {
    const key = makeKey()
    const file = installation.secret('keys', content(key))
    const device = ['--dev-eui', DEV_EUI, '--join-eui', JOIN_EUI, '--mac-version', '1.0.4']
    await failsQuietly('keys_file_malformed', key, file, 'device', 'add', ...device, '--keys-file', file, '--json')
  })

  test('device file: each line is refused with its number alone', async () => {
    const key = hex()
    const line = { devEui: DEV_EUI, joinEui: JOIN_EUI, macVersion: '1.0.4', appKey: hex() }
    const lines = [
      `{"devEui": "${DEV_EUI}", "appKey": "${key}"`,
      `{"devEui": "${DEV_EUI}", "appKey" "${key}"}`,
      `{"devEui": "${DEV_EUI}", "appKey": ${key}}`,
      JSON.stringify([key]),
      JSON.stringify({ ...line, appKey: [key] }),
      JSON.stringify({ ...line, appKey: `${key}0` }),
      JSON.stringify({ ...line, [key]: 'appKey' }),
      JSON.stringify({ ...line, devEui: key }),
      JSON.stringify({ ...line, joinEui: key }),
      JSON.stringify({ ...line, macVersion: key }),
      JSON.stringify({ ...line, networks: [key] }),
      JSON.stringify({ ...line, as: [`${key}\n`] }),
      JSON.stringify({ ...line, nwkKey: key }),
      JSON.stringify({ ...line, appKey: key }),
      JSON.stringify({ ...line, appKey: key }),
    ]
    const file = installation.secret('devices', lines.join('\n'))
    const { stderr } = await failsQuietly('device_file_invalid', key, file, 'device', 'add', '--file', file, '--json')
    // The last but one is good, and the last repeats its DevEUI, which is told.
    const faults = (JSON.parse(stderr) as { lines: { line: number }[] }).lines.map((fault) => fault.line)
    expect(faults).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15])
    expect(new SecretSearch(new Map([['DevEUI', Buffer.from(DEV_EUI)]])).findInText(stderr)).toEqual(['DevEUI (raw)'])
  })

  test.each<[string, string]>([
    ['20 bytes', randomBytes(20).toString('hex')],
    ['base64', randomBytes(32).toString('base64')],
  ])('KEK file: %s', async (_name, key) => {
    const file = installation.secret('kek', key)
    const words = ['kek', 'set', '--as', 'doors.example', '--label', 'one', '--key-file', file, '--json']
    await failsQuietly('key_file_malformed', key, file, ...words)
  })

  test('a file that others may read is refused unread, and closed as told it is taken', async () => {
    const key = hex()
    const file = installation.secret('kek-open', key)
    const words = ['kek', 'set', '--as', 'doors.example', '--label', 'one', '--key-file', file]
    chmodSync(file, 0o644)
    const { stderr } = await failsQuietly('can be read by others', key, file, ...words)
    expect(stderr).toContain(`chmod 600 ${file}`)
    chmodSync(file, 0o600)
    const taken = await installation.mortise(...words)
    expect(windowsOf(key).findInText(taken.stdout + taken.stderr)).toEqual([])
  })

  test('an operator key that is cut short', async () => {
    const pem = readFileSync(join(installation.data, 'operator', 'operator-key.pem'), 'utf8').split('\n')
    const body = (pem[1] ?? '').slice(0, -4)
    const file = installation.secret('operator-key.pem', [pem[0], body, pem[2]].join('\n'))
    const kek = [
      'kek',
      'set',
      '--as',
      'doors.example',
      '--label',
      'two',
      '--key-file',
      installation.secret('kek', hex()),
    ]
    const words = [...kek, '--operator-key-file', file]
    await failsQuietly('is not a private key', body, file, ...words)
  })

  test.each<[string, (passphrase: string) => string]>([
    ['an option that there is not', (passphrase) => `passphrase: ${passphrase}`],
    ['no YAML', (passphrase) => `passphraseFile: "${passphrase}`],
    ['no name', (passphrase) => passphrase],
  ])('a passphrase in mortise.yaml: %s', async (_name, content) => {
    const passphrase = randomBytes(18).toString('base64')
    const file = join(installation.data, 'mortise.yaml')
    writeFileSync(file, content(passphrase))
    await failsQuietly('config_invalid', passphrase, file, 'serve', '--json')
    writeFileSync(file, '')
  })
})
