import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readBridgeConfig } from '@mortise/bridge'
import { initialise, json, mortise, Workplace } from './mortise.ts'
import { withTerminal } from './terminal.ts'

let place: Workplace
let out: string
beforeEach(() => {
  place = new Workplace()
  out = place.path('bridge')
})
afterEach(() => {
  place[Symbol.dispose]()
})

const CHIRPSTACK = [
  ...['--source', 'chirpstack', '--source-url', 'mqtts://chirpstack.example.com:8883', '--source-user', 'bridge'],
  ...['--api-url', 'https://chirpstack.example.com:8080', '--sink', 'mqtts://broker.owner.example', '--sink', 'stdout'],
  ...['--sink-user', 'bridge'],
  ...['--join-server', 'https://js.example.com:8443', '--as-id', 'doors.example'],
]
const THE_THINGS_STACK = [
  ...['--source', 'the-things-stack', '--source-url', 'mqtts://eu1.example:8883', '--source-user', 'doors@acme'],
  ...['--sink', 'https://app.owner.example/readings', '--as-id', 'doors.example', '--kek-label', 'doors-2026'],
]
const WEBHOOK = [
  '--source',
  'chirpstack',
  '--webhook',
  '127.0.0.1:8090',
  '--sink',
  'stdout',
  '--as-id',
  'doors.example',
]

async function init(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await mortise(['bridge', 'init', '--out', out, ...words])
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return stdout
}

/** The commands that were printed. */
function commands(said: string): string[] {
  return said.split('\n').flatMap((line) => /^ {3}(mortise .+|\(umask .+)$/.exec(line)?.[1] ?? [])
}

describe('mortise bridge init', () => {
  test('makes a key, its request and a KEK that nobody else can read', async () => {
    await init(...CHIRPSTACK)
    expect(readdirSync(out).sort()).toEqual(['as-key.pem', 'as.csr', 'config.yaml', 'kek.hex'])
    expect(statSync(out).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(out)) expect(statSync(join(out, name)).mode & 0o777).toBe(0o600)
    const request = execFileSync('openssl', ['req', '-in', join(out, 'as.csr'), '-noout', '-verify', '-subject'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    expect(request.replaceAll(' ', '')).toContain('CN=doors.example')
    const key = createPrivateKey(readFileSync(join(out, 'as-key.pem')))
    expect(key.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    expect(readFileSync(join(out, 'kek.hex'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
  })

  test('prints the commands that a join server takes as they are, and then its configuration can be read', async () => {
    await initialise(place)
    const said = commands(await init(...CHIRPSTACK))
    const [add = '', set = ''] = said
    expect(add).toBe(`mortise peer add as --as-id doors.example --csr ${out}/as.csr`)
    expect(set).toBe(`mortise kek set --as doors.example --label doors.example-1 --key-file ${out}/kek.hex`)
    for (const command of [add, set]) await json([...command.split(' ').slice(1), '--data', place.data])
    expect(new X509Certificate(readFileSync(join(out, 'cert.pem'))).subject).toBe('CN=doors.example')
    const secrets = said.filter((line) => line.startsWith('(umask'))
    expect(secrets).toHaveLength(3)
    for (const secret of secrets) execFileSync('bash', ['-c', secret], { input: 'secret\n' })

    const config = await readBridgeConfig(join(out, 'config.yaml'))
    expect(config.source).toMatchObject({
      kind: 'chirpstack',
      mqtt: { url: 'mqtts://chirpstack.example.com:8883', username: 'bridge', password: Buffer.from('secret') },
      api: { url: 'https://chirpstack.example.com:8080', token: Buffer.from('secret') },
    })
    expect(config.sinks.map(({ kind }) => kind)).toEqual(['mqtt', 'stdout'])
    expect(config.joinServer).toMatchObject({ asId: 'doors.example', service: { url: 'https://js.example.com:8443' } })
    expect(config.data.directory).toBe(join(out, 'data'))
  })

  test.each([
    ['The Things Stack', THE_THINGS_STACK, /Skip payload encryption and decryption/],
    ['webhooks', WEBHOOK, /Authorization, with "Bearer "/],
  ])('writes what is needed for %s', async (_what, words, says) => {
    const said = await init(...words)
    expect(said).toMatch(says)
    for (const secret of commands(said).filter((line) => line.startsWith('(umask')))
      execFileSync('bash', ['-c', secret], { input: 'secret\n' })
    const config = await readBridgeConfig(join(out, 'config.yaml'))
    expect(config.source.webhook ?? config.source.mqtt).toMatchObject(
      words === WEBHOOK ? { port: 8090 } : { topic: 'v3/doors@acme/devices/+/#' },
    )
  })

  test('tells of a certificate for webhooks in whole sentences, and of no secret that there is none', async () => {
    const said = await init(...WEBHOOK.with(3, '0.0.0.0:8090'))
    expect(said).toContain(`4. Here: a certificate for the name`)
    expect(said).toContain(`${out}/webhook-key.pem`)
    expect(said).not.toContain('secrets')
  })

  test('tells of The Things Stack that a user has a tenant, where it has one', async () => {
    const words = THE_THINGS_STACK.map((word) => (word === 'doors@acme' ? 'doors' : word))
    const { code, stderr } = await mortise(['bridge', 'init', '--out', out, ...words])
    expect(code).toBe(0)
    expect(stderr).toMatch(/names no tenant.*doors@TENANT/)
  })

  test.each([
    ['ChirpStack', CHIRPSTACK],
    ['The Things Stack', THE_THINGS_STACK],
    ['a webhook', WEBHOOK],
  ])('every comment of the configuration for %s that is a member may be made one', async (_what, words) => {
    await init(...words)
    const path = join(out, 'config.yaml')
    const uncommented = readFileSync(path, 'utf8').replaceAll(/^( *)# ((?: *- | *)[a-zA-Z]+:(?: \S.*)?)$/gm, '$1$2')
    for (const name of ['source', 'sink', 'api', 'webhook']) certificateFiles(name)
    execFileSync('cp', [join(out, 'source-cert.pem'), join(out, 'cert.pem')])
    execFileSync('cp', [join(out, 'source-cert.pem'), join(out, 'ca.pem')])
    execFileSync('cp', [join(out, 'source-key.pem'), join(out, 'as-key.pem')])
    for (const name of ['source-password', 'sink-password', 'sink-token', 'api-token'])
      writeFileSync(join(out, name), 'secret\n', { mode: 0o600 })
    writeFileSync(join(out, 'door.js'), 'function decodeUplink() {}')
    writeFileSync(path, uncommented)
    const config = await readBridgeConfig(path)
    expect(config.codecs).toHaveLength(1)
    expect(config.joinServer?.asId).toBe('doors.example')
    expect((parse(uncommented) as { data: object }).data).toEqual({
      directory: 'data',
      maxEvents: 1_000_000,
      maxBytes: 2 ** 31,
    })
    expect(config.data).toMatchObject({ maxEvents: 1_000_000, maxBytes: 2 ** 31 })
  })

  function certificateFiles(name: string): void {
    const files = ['-keyout', join(out, `${name}-key.pem`), '-out', join(out, `${name}-cert.pem`)]
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x']
    execFileSync('openssl', ['req', '-x509', ...key, ...files], { stdio: 'ignore' })
    execFileSync('cp', [join(out, `${name}-cert.pem`), join(out, `${name}-ca.pem`)])
  }

  test('gives two bridges names of their own at their brokers', async () => {
    await init(...CHIRPSTACK)
    const first = readFileSync(join(out, 'config.yaml'), 'utf8')
    out = place.path('other')
    await init(...CHIRPSTACK)
    const second = readFileSync(join(out, 'config.yaml'), 'utf8')
    const ids = (text: string): string[] => Array.from(text.matchAll(/clientId: "(.+)"/g), ([, id = '']) => id)
    expect(new Set([...ids(first), ...ids(second)]).size).toBe(4)
  })

  test('tells programs what it made, and no secret', async () => {
    const facts = await json<Record<string, unknown>>(['bridge', 'init', '--out', out, ...CHIRPSTACK])
    expect(facts).toMatchObject({ source: 'chirpstack', asId: 'doors.example', files: { kek: join(out, 'kek.hex') } })
    const key = readFileSync(join(out, 'kek.hex'), 'latin1').trim()
    const search = (text: string): boolean => text.includes(key.slice(0, 16))
    expect(search(JSON.stringify(facts))).toBe(false)
    expect(search(`planted ${key}`)).toBe(true)
  })

  test.each([
    ['--source', CHIRPSTACK, 2],
    ['--source-url', CHIRPSTACK, 2],
    ['--as-id', CHIRPSTACK, 2],
    ['--source-user', THE_THINGS_STACK, 2],
    ['--sink', THE_THINGS_STACK, 2],
  ])('without a terminal, names %s when it is missing, and makes nothing', async (option, words, length) => {
    const index = words.indexOf(option)
    const { code, stderr } = await mortise(['bridge', 'init', '--out', out, ...words.toSpliced(index, length)])
    expect(code).toBe(2)
    expect(stderr).toContain(`${option} is missing, and there is no terminal to ask`)
    expect(existsSync(out)).toBe(false)
  })

  test.each([
    ['a broker without TLS elsewhere', ['--source-url', 'mqtt://chirpstack.example.com'], 'mqtts://HOST'],
    ['a sink without TLS elsewhere', ['--sink', 'http://app.example'], 'without TLS on this machine only'],
    ['an API with a password in it', ['--api-url', 'https://a:b@c.example'], 'without user and password'],
    ['a join server without TLS', ['--join-server', 'http://localhost'], 'https'],
    ['another network server', ['--source', 'loriot'], 'chirpstack, the-things-stack'],
    ['a webhook beside a broker', ['--webhook', '127.0.0.1:8090'], 'takes the place'],
    ['a webhook on no port', ['--webhook', '127.0.0.1'], 'HOST:PORT'],
  ])('refuses %s', async (_what, words, says) => {
    const { code, stderr } = await mortise(['bridge', 'init', '--out', out, ...CHIRPSTACK, ...words])
    expect(code).toBe(2)
    expect(stderr).toContain(says)
    expect(existsSync(out)).toBe(false)
  })

  test('takes an empty directory, and refuses one with files', async () => {
    mkdirSync(out)
    await init(...CHIRPSTACK)
    const before = readFileSync(join(out, 'kek.hex'))
    const { code, stderr } = await mortise(['bridge', 'init', '--out', out, ...CHIRPSTACK])
    expect(code).toBe(1)
    expect(stderr).toContain('has files in it')
    expect(readFileSync(join(out, 'kek.hex'))).toEqual(before)
  })

  test('asks a person for what is missing, again where the answer cannot be used', async () => {
    const answers = [
      'zigbee',
      'chirpstack',
      'mqtt://a.example',
      'mqtts://a.example',
      '',
      'stdout',
      '',
      '',
      'doors.example',
    ]
    const { stdout } = await withTerminal(['bridge', 'init', '--out', out], answers)
    expect(stdout).toContain('one of chirpstack, the-things-stack')
    expect(stdout).toContain('mqtt:// on this machine only')
    expect(stdout).toContain('mortise peer add as --as-id doors.example')
    const config = parse(readFileSync(join(out, 'config.yaml'), 'utf8')) as Record<string, unknown>
    expect(config).toMatchObject({ source: { mqtt: { url: 'mqtts://a.example' } }, sinks: [{ kind: 'stdout' }] })
    expect(config['joinServer']).toBeUndefined()
  })
})
