import { createServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { lockDirectory } from '@mortise/bridge'
import { Mosquitto } from '../src/demo/doors/mosquitto.ts'
import type { BridgeCheck } from '../src/bridge/checks.ts'
import { ChirpStackApi } from './chirpstack-api.ts'
import { initialise, json, mortise, Server, Workplace } from './mortise.ts'

/** Everybody whom a bridge talks to, for real; each test breaks one thing in a configuration that is good. */
const PASSWORD = 'fog-horn-1812'
const API_KEY = 'eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x'

let place: Workplace
let joinServer: Server
let network: Mosquitto
let owner: Mosquitto
let api: ChirpStackApi
let receiver: HttpServer
let bridge: string
let good: Draft

type Draft = Record<string, unknown>

beforeAll(async () => {
  place = new Workplace()
  await initialise(place)
  joinServer = await Server.start(place.data, '--passphrase-file', place.passphraseFile)
  network = await Mosquitto.start(place.path('network'), [
    { user: 'bridge', password: PASSWORD, access: ['topic read application/#'] },
  ])
  owner = await Mosquitto.start(place.path('owner'), [
    { user: 'bridge', password: PASSWORD, access: ['topic readwrite #'] },
  ])
  api = await ChirpStackApi.start(API_KEY)
  receiver = createServer((request, response) => {
    response.writeHead(request.headers.authorization === 'Bearer good' ? 405 : 401).end()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))

  bridge = place.path('bridge')
  const js = `https://localhost:${joinServer.facts.bi.split(':').at(-1) ?? ''}`
  const words = ['--source', 'chirpstack', '--source-url', network.url, '--source-user', 'bridge', '--sink', owner.url]
  const api_ = ['--api-url', `http://127.0.0.1:${api.port}`, '--join-server', js, '--as-id', 'doors.example']
  await json(['bridge', 'init', '--out', bridge, ...words, ...api_])
  const server = ['--data', place.data]
  await json(['peer', 'add', 'as', '--as-id', 'doors.example', '--csr', join(bridge, 'as.csr'), ...server])
  writeFileSync(join(bridge, 'source-password'), PASSWORD, { mode: 0o600 })
  writeFileSync(join(bridge, 'wrong'), 'wrong\n', { mode: 0o600 })
  writeFileSync(join(bridge, 'good'), 'good\n', { mode: 0o600 })
  writeFileSync(join(bridge, 'api-token'), API_KEY, { mode: 0o600 })
  writeFileSync(
    join(bridge, 'door.js'),
    'function decodeUplink({ bytes }) { return { data: { open: bytes[0] === 1 } } }',
  )
  writeFileSync(join(bridge, 'broken.js'), 'function decodeUplink( {')
  writeFileSync(join(bridge, 'empty.js'), 'const nothing = 1')
  good = parse(readFileSync(join(bridge, 'config.yaml'), 'utf8')) as Draft
  const [sink] = good['sinks'] as Draft[]
  good['listen'] = '127.0.0.1:0'
  good['codecs'] = [{ file: 'door.js' }]
  good['sinks'] = [
    { ...sink, username: 'bridge', passwordFile: 'source-password' },
    { kind: 'http', url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`, tokenFile: 'good' },
    { kind: 'stdout' },
  ]
}, 60_000)
afterAll(async () => {
  receiver.close()
  api[Symbol.dispose]()
  await owner[Symbol.asyncDispose]()
  await network[Symbol.asyncDispose]()
  await joinServer.stop()
  place[Symbol.dispose]()
})

function changed(changes: Readonly<Record<string, unknown>>): Draft {
  const draft = structuredClone(good)
  for (const [path, value] of Object.entries(changes)) {
    const names = path.split('.')
    const last = names.pop() ?? ''
    let at = draft
    for (const name of names) at = at[name] as Draft
    at[last] = value
  }
  return draft
}

async function check(draft: Draft): Promise<{ code: number | null; checks: BridgeCheck[]; said: string }> {
  const config = join(bridge, 'tried.yaml')
  writeFileSync(config, stringify(draft))
  const { code, stdout, stderr } = await mortise(['bridge', 'check', '--config', config, '--json'])
  return { code, checks: (JSON.parse(stdout) as { checks: BridgeCheck[] }).checks, said: stdout + stderr }
}

describe('mortise bridge check', () => {
  test('finds nothing wrong where all is well', async () => {
    const { code, checks } = await check(good)
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([])
    expect(new Set(checks.map(({ name }) => name))).toEqual(
      new Set([
        'configuration',
        'certificate',
        'kek',
        'data',
        'codec',
        'listen',
        'source',
        'api',
        'sink',
        'join-server',
      ]),
    )
    expect(code).toBe(0)
  })

  test('says it to people, a line each', async () => {
    const config = join(bridge, 'tried.yaml')
    writeFileSync(config, stringify(changed({ 'source.mqtt.passwordFile': 'wrong' })))
    const { code, stdout, stderr } = await mortise(['bridge', 'check', '--config', config])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^join-server +ok +it knows the AS doors\.example/m)
    expect(stdout).toMatch(/^source +WRONG .*does not let the bridge in.* What to do: compare username/m)
    expect(stderr).toContain('1 thing must be mended')
  })

  test.each<[string, Record<string, unknown>, string, RegExp]>([
    [
      'a wrong password at the network',
      { 'source.mqtt.passwordFile': 'wrong' },
      'source',
      /does not let the bridge in/,
    ],
    ['a broker that is not there', { 'source.mqtt.url': 'mqtt://127.0.0.1:1' }, 'source', /ECONNREFUSED.*$/],
    ['a broker with TLS that has none', { 'sinks.0.url': 'mqtts://127.0.0.1:1' }, 'sink', /cannot be reached/],
    ['a wrong password at a sink', { 'sinks.0.passwordFile': 'wrong' }, 'sink', /does not let the bridge in/],
    ['a wrong token at a sink', { 'sinks.1.tokenFile': 'wrong' }, 'sink', /HTTP 401/],
    ['a sink that is not there', { 'sinks.1.url': 'http://127.0.0.1:1/' }, 'sink', /ECONNREFUSED/],
    ['a wrong API key', { 'source.api.tokenFile': 'wrong' }, 'api', /refuses the API key/],
    ['an API that is not there', { 'source.api.url': 'http://127.0.0.1:1' }, 'api', /cannot be reached/],
    ['an AS-ID of somebody else', { 'joinServer.asId': 'meters.example' }, 'join-server', /UnknownSender/],
    ['a join server that is not there', { 'joinServer.url': 'https://127.0.0.1:1' }, 'join-server', /ECONNREFUSED/],
    ['a codec that is not JavaScript', { codecs: [{ file: 'broken.js' }] }, 'codec', /could not be loaded/],
    ['a codec without its function', { codecs: [{ file: 'empty.js' }] }, 'codec', /does not define/],
    ['a broker with a query', { 'source.mqtt.url': 'mqtt://127.0.0.1:1?x' }, 'configuration', /before \? and #/],
    ['an API below a path', { 'source.api.url': 'http://127.0.0.1:1/api' }, 'configuration', /behind its port/],
    ['a file that is not there', { 'source.api.tokenFile': 'nowhere' }, 'configuration', /does not exist/],
  ])('finds %s', async (_what, changes, name, says) => {
    const { code, checks } = await check(changed(changes))
    expect(code).toBe(1)
    const wrong = checks.filter(({ status }) => status === 'wrong')
    expect(wrong.map((one) => one.name)).toEqual([name])
    expect(wrong[0]?.detail).toMatch(says)
    expect(wrong[0]?.remedy).toMatch(/\S/)
  })

  test('finds a certificate of a stranger at the join server', async () => {
    const stranger = place.path('stranger')
    await json(['peer', 'add', 'as', '--as-id', 'stranger', '--issue-certificate', stranger, '--data', place.data])
    const files = { 'joinServer.certFile': join(stranger, 'cert.pem'), 'joinServer.keyFile': join(stranger, 'key.pem') }
    const { checks } = await check(changed(files))
    expect(checks.find(({ name }) => name === 'join-server')).toMatchObject({ status: 'wrong' })
    const own = await check(changed({ ...files, 'joinServer.asId': 'stranger' }))
    expect(own.checks.find(({ name }) => name === 'join-server')).toMatchObject({ status: 'ok' })
  })

  test('beside a bridge that runs, does not take what is its own for a fault', async () => {
    mkdirSync(join(bridge, 'used'))
    const other = createTcpServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`
    const webhook = { listen, tokenFile: 'good' }
    const draft = changed({ 'data.directory': 'used', listen, 'source.webhook': webhook })
    {
      using running = new DisposableStack()
      running.use(lockDirectory(join(bridge, 'used')))
      const { code, checks } = await check(draft)
      expect(code).toBe(0)
      const skipped = checks.filter(({ status }) => status === 'skipped')
      expect(skipped.map(({ name }) => name)).toEqual(['data', 'source', 'listen'])
      for (const { detail } of skipped) expect(detail).toContain('a bridge runs here; not tried')
    }
    const alone = (await check(draft)).checks.filter(({ status }) => status === 'wrong')
    expect(alone.map(({ name }) => name)).toEqual(['source', 'listen'])
    other.close()
  })

  test('finds a data directory that cannot be written', async () => {
    writeFileSync(join(bridge, 'a-file'), '')
    const { checks } = await check(changed({ 'data.directory': 'a-file' }))
    expect(checks.find(({ name }) => name === 'data')).toMatchObject({ status: 'wrong' })
  })

  test('names every file that is not there at once, and the labels of KEKs where all are', async () => {
    const missing = { 'source.api.tokenFile': 'nowhere', 'source.mqtt.passwordFile': 'no-password' }
    const codecs = [{ file: 'no-codec.js' }]
    const { checks } = await check(changed({ ...missing, 'joinServer.certFile': 'no-cert.pem', codecs }))
    expect(checks.map(({ name }) => name)).toEqual(['configuration', 'configuration', 'configuration', 'configuration'])
    const said = checks.map(({ detail }) => detail).join('\n')
    for (const name of ['nowhere', 'no-password', 'no-cert.pem', 'no-codec.js'])
      expect(said).toContain(`${name} does not exist`)
    const kek = (await check(good)).checks.find(({ name }) => name === 'kek')
    expect(kek?.detail).toMatch(/"doors\.example-1": there; only a join shows/)
  })

  test('speaks of no kit, and of no other fault where there is one', async () => {
    const { said } = await check(changed({ 'joinServer.url': 'https://127.0.0.1:1' }))
    expect(said).toContain('compare the port with what its operator has told you')
    expect(said).not.toMatch(/kit|cause of others/)
    const two = await check(changed({ 'joinServer.url': 'https://127.0.0.1:1', 'source.api.tokenFile': 'wrong' }))
    expect(two.said).toContain('cause of others')
  })

  test('finds two sinks that are the same', async () => {
    const [, http] = good['sinks'] as Draft[]
    const { checks } = await check(changed({ 'sinks.2': http }))
    const wrong = checks.filter(({ status }) => status === 'wrong')
    expect(wrong).toMatchObject([{ name: 'configuration', detail: expect.stringMatching(/the same/) as string }])
  })

  test('finds an address that another program has', async () => {
    const other = createTcpServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const { checks } = await check(changed({ listen: `127.0.0.1:${port}` }))
    expect(checks.find(({ name }) => name === 'listen')).toMatchObject({
      status: 'wrong',
      remedy: expect.stringMatching(/another address/) as string,
    })
    other.close()
  })

  test('tells no secret', async () => {
    const { said } = await check(changed({ 'source.mqtt.passwordFile': 'wrong', 'source.api.tokenFile': 'wrong' }))
    const kek = readFileSync(join(bridge, 'kek.hex'), 'latin1').trim()
    const secrets = [PASSWORD, API_KEY, kek]
    expect(secrets.filter((secret) => said.includes(secret))).toEqual([])
    expect(secrets.filter((secret) => `${said} ${kek}`.includes(secret))).toEqual([kek])
  })
})
