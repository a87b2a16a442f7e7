import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { upEvent } from '../src/demo/doors/chirpstack-events.ts'
import { freePort } from '../src/demo/doors/mosquitto.ts'
import { ChirpStackApi } from './chirpstack-api.ts'
import { json, mortise, start, type Transcript, transcriptOf, Workplace } from './mortise.ts'

/** What the bridge's commands say to do next, where a person has made a mistake. */
const API_KEY = 'key-of-the-tenant'
const DEV_EUI = '70b3d57ed0061a01'

let place: Workplace
let api: ChirpStackApi
let bridge: string

beforeAll(async () => {
  place = new Workplace()
  api = await ChirpStackApi.start(API_KEY)
  bridge = place.path('bridge')
  const words = ['--source', 'chirpstack', '--webhook', '127.0.0.1:1', '--sink', 'stdout', '--as-id', 'doors.example']
  await json(['bridge', 'init', '--out', bridge, ...words, '--api-url', `http://127.0.0.1:${api.port}`])
  place.secret('bridge/api-token', API_KEY)
  place.secret('bridge/wrong-token', 'wrong')
})
afterAll(() => {
  api[Symbol.dispose]()
  place[Symbol.dispose]()
})

/** A configuration of its own, in a directory of its own. */
function configWith(name: string, change: (config: Config) => void): string {
  const config = parse(readFileSync(join(bridge, 'config.yaml'), 'utf8')) as Config
  config.data.directory = name
  config.listen = '127.0.0.1:0'
  change(config)
  const path = join(bridge, `${name}.yaml`)
  writeFileSync(path, stringify(config))
  return path
}

interface Config {
  source: { webhook: { listen: string }; api?: { url: string; tokenFile: string } }
  data: { directory: string }
  listen: string
}

/** Runs a bridge on free ports, gives it an uplink of a device, and runs `work` beside it. */
async function beside(config: string, work: () => Promise<void>): Promise<void> {
  const running = start(['bridge', 'run', '--config', config])
  const ended = transcriptOf(running)
  await new Promise<void>((resolve) => running.stderr?.once('data', () => resolve()))
  await work()
  running.kill('SIGTERM')
  expect((await ended).code).toBe(0)
}

async function run(config: string): Promise<Transcript> {
  return await mortise(['bridge', 'run', '--config', config])
}

async function downlink(config: string): Promise<Transcript> {
  return await mortise([
    'bridge',
    'downlink',
    '--config',
    config,
    '--dev-eui',
    DEV_EUI,
    '--f-port',
    '15',
    '--hex',
    '01',
  ])
}

const anyPort = (config: Config): void => {
  config.source.webhook.listen = '127.0.0.1:0'
}

describe('mortise bridge run', () => {
  test('says what to do about a second bridge', async () => {
    const config = configWith('first', anyPort)
    await beside(config, async () => {
      const { code, stderr } = await run(config)
      expect(code).toBe(1)
      expect(stderr).toMatch(/error: Another bridge runs on .*first[^]*hint: stop it, or name another directory/)
    })
  })

  test.each([
    ['listen', (config: Config) => (config.listen = `127.0.0.1:${api.port}`)],
    ['source.webhook.listen', (config: Config) => (config.source.webhook.listen = `127.0.0.1:${api.port}`)],
  ])('names the member of an address that another program has: %s', async (member, change) => {
    const config = configWith(`taken-${member}`, (draft) => {
      anyPort(draft)
      change(draft)
    })
    const { code, stderr } = await run(config)
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`error: ${member}: one cannot listen on 127\\.0\\.0\\.1[^]*hint: .*bridge check`))
  })
})

describe('mortise bridge downlink', () => {
  test('says that there is no API, before it looks for anything else', async () => {
    mkdirSync(join(bridge, 'none'))
    const config = configWith('none', (draft) => {
      delete draft.source.api
    })
    const { code, stderr } = await downlink(config)
    expect(code).toBe(1)
    expect(stderr).toMatch(/has no source\.api[^]*hint: add source\.api/)
  })

  test('says that the key is refused, or that nobody listens, and not that it may be queued', async () => {
    const port = await freePort()
    const config = configWith('known', (draft) => {
      draft.source.webhook.listen = `127.0.0.1:${port}`
    })
    await beside(config, async () => {
      expect(await post(port)).toBe(200)
    })
    const wrongKey = configWith('known', (draft) => {
      draft.source.api = { url: `http://127.0.0.1:${api.port}`, tokenFile: 'wrong-token' }
    })
    const refused = await downlink(wrongKey)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/hint: source\.api: ChirpStack refuses the API key.* make a new one/)
    const nobody = configWith('known', (draft) => {
      draft.source.api = { url: 'http://127.0.0.1:1', tokenFile: 'api-token' }
    })
    const unreachable = await downlink(nobody)
    expect(unreachable.code).toBe(1)
    expect(unreachable.stderr).toMatch(/hint: source\.api: 127\.0\.0\.1:1 cannot be reached.*nobody listens there/)
    for (const { stderr } of [refused, unreachable]) expect(stderr).not.toContain('queued')
  })
})

/** An uplink of the device, as ChirpStack's HTTP integration posts it. */
async function post(port: number): Promise<number> {
  const token = readFileSync(join(bridge, 'webhook-token'), 'utf8').trim()
  const appSKey = { kekLabel: 'doors.example-1', aesKey: '00'.repeat(24) }
  const context = { sessionKeyId: '01', appSKey }
  const uplink = { fCnt: 1, fPort: 15, confirmed: false, data: Buffer.from('sealed') }
  const { body } = upEvent({ devEui: DEV_EUI, devAddr: '26012e43', context }, uplink)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const answer = await fetch(`http://127.0.0.1:${port}/?event=up`, { method: 'POST', headers, body: body.toString() })
  return answer.status
}
