import { chmodSync, mkdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { BridgeConfigError, type BridgeConfig, readBridgeConfig } from '../../src/index.ts'
import { baseline, changed } from './drafts.ts'
import { REFUSED_OTHERS } from './refused-others.ts'
import { REFUSED_SOURCES } from './refused-sources.ts'
import { KEK, PASSWORD, Workplace } from './workplace.ts'

let place: Workplace
beforeAll(() => {
  place = new Workplace()
  mkdirSync(place.path('directory'))
  place.secret('open', 'secret\n', 0o644)
  place.secret('empty', '')
  place.secret('blank', '\n')
  place.secret('two-lines', 'a\nb\n')
  place.secret('spaces', 'a token with spaces\n')
  place.secret('short.hex', `${KEK.slice(2)}\n`)
  place.secret('zeros.hex', `${'0'.repeat(64)}\n`)
  place.secret('no.hex', `${KEK.slice(0, 62)}xy\n`)
  place.secret('large.js', `//${'x'.repeat(1_048_576)}`)
})
afterAll(() => {
  place[Symbol.dispose]()
})

async function read(draft: unknown): Promise<BridgeConfig> {
  return await readBridgeConfig(place.secret('config.yaml', typeof draft === 'string' ? draft : stringify(draft)))
}

async function faultsOf(draft: unknown): Promise<BridgeConfigError> {
  try {
    await read(draft)
  } catch (error) {
    if (error instanceof BridgeConfigError) return error
    throw error
  }
  throw new Error('the configuration was accepted')
}

describe('a configuration', () => {
  test('is read with every file that it names', async () => {
    const { kekRing, ...config } = await read(baseline())
    expect(config).toEqual({
      source: {
        kind: 'chirpstack',
        name: 'campus',
        encoding: 'protobuf',
        passClear: false,
        joinEui: '70b3d57ed0000001',
        mqtt: {
          url: 'mqtts://broker.example.com:8883',
          clientId: 'mortise-bridge-1',
          username: 'bridge',
          password: Buffer.from(PASSWORD),
          ca: expect.any(Buffer) as Buffer,
          cert: expect.any(Buffer) as Buffer,
          key: expect.any(Buffer) as Buffer,
          topic: 'application/7/device/+/event/+',
        },
        webhook: undefined,
        api: {
          url: 'https://chirpstack.example.com:8080',
          token: Buffer.from('a1b2c3'),
          ca: expect.any(Buffer) as Buffer,
        },
      },
      sinks: [
        {
          kind: 'mqtt',
          mqtt: { url: 'mqtt://localhost:1883', clientId: 'mortise-bridge-2' },
          shape: 'reading',
          topic: 'doors/{devEui}',
        },
        {
          kind: 'http',
          service: { url: 'https://app.example.com/readings', token: Buffer.from('a1b2c3') },
          shape: 'source',
        },
        { kind: 'stdout' },
      ],
      joinServer: {
        service: {
          url: 'https://js.example.com:8443',
          ca: expect.any(Buffer) as Buffer,
          cert: expect.any(Buffer) as Buffer,
          key: expect.any(Buffer) as Buffer,
        },
        asId: 'doors.example',
        protocolVersion: '1.1',
        keysFrom: 'network',
      },
      codecs: [
        {
          codec: { name: 'door.js', source: expect.stringContaining('decodeUplink') as string },
          devices: [],
          profiles: [],
        },
        {
          codec: { name: 'door.js', source: expect.stringContaining('decodeUplink') as string },
          devices: ['70B3D57ED0061A01'],
          profiles: ['Door'],
        },
      ],
      data: { directory: place.path('var'), maxEvents: 1000, maxBytes: 1_048_576 },
      listen: { host: '127.0.0.1', port: 9464 },
    })
    // Both are there, under their labels; what is under a third is not.
    for (const [label, kek] of [
      ['doors-1', KEK],
      ['doors-2', KEK.slice(0, 32)],
    ] as const)
      expect(() => {
        kekRing.add(label, Buffer.from(kek, 'hex'))
      }).toThrow('in use')
    expect(() => {
      kekRing.remove('doors-3')
    }).toThrow('no KEK of the label')
  })

  test('needs little', async () => {
    const { source, sinks, joinServer, codecs, data, listen } = await read({
      source: {
        kind: 'the-things-stack',
        mqtt: { url: 'mqtts://eu1.example:8883', clientId: 'b', username: 'doors@acme' },
      },
      sinks: [
        { kind: 'mqtt', url: 'mqtts://own.example', clientId: 'c' },
        { kind: 'http', url: 'https://app.example/' },
        { kind: 'mqtt', url: 'mqtts://own.example', clientId: 'd', shape: 'reading' },
      ],
      keks: [{ label: 'one', keyFile: place.path('kek.hex') }],
    })
    expect(source).toMatchObject({
      name: 'the-things-stack',
      encoding: 'json',
      mqtt: { topic: 'v3/doors@acme/devices/+/#' },
    })
    expect(sinks).toMatchObject([
      { shape: 'source', topic: '' },
      { shape: 'reading' },
      { shape: 'reading', topic: 'mortise/{devEui}/reading' },
    ])
    expect({ joinServer, codecs, listen }).toEqual({ joinServer: undefined, codecs: [], listen: undefined })
    expect(data).toEqual({ directory: place.path('data'), maxEvents: 1_000_000, maxBytes: 2 ** 31 })
  })

  test('may take webhooks, on this machine or with a certificate', async () => {
    const webhook = { listen: '127.0.0.1:8090', tokenFile: 'token' }
    const { source } = await read(changed(['source.mqtt', undefined], ['source.webhook', webhook]))
    expect(source.webhook).toEqual({ host: '127.0.0.1', port: 8090, token: Buffer.from('a1b2c3') })
    const open = { listen: '0.0.0.0:8090', tokenFile: 'token', certFile: 'own.pem', keyFile: 'own.key' }
    const { source: withTls } = await read(changed(['source.mqtt', undefined], ['source.webhook', open]))
    expect(withTls.webhook).toMatchObject({ host: '0.0.0.0', cert: expect.any(Buffer) as Buffer })
  })

  test('may name the file of a token as `mortise peer add … --token` writes it', async () => {
    const { joinServer } = await read(
      changed(
        ['joinServer.tokenFile', 'as.header'],
        ['joinServer.certFile', undefined],
        ['joinServer.keyFile', undefined],
      ),
    )
    expect(joinServer?.service.token?.toString()).toBe('d4e5f6')
  })
})

describe('is refused:', () => {
  test.each([...REFUSED_SOURCES, ...REFUSED_OTHERS])('%s', async (_what, refused, member, says, twin) => {
    const error = await faultsOf(changed(...refused))
    expect(error.code).toBe('config_invalid')
    expect(error.faults.map((fault) => fault.member)).toEqual([member])
    expect(error.message).toMatch(says)
    expect(error.message).toContain('What to do: ')
    await read(changed(...twin))
  })

  test.each([
    [
      'a webhook for all the world without certificate',
      { listen: '0.0.0.0:8090', tokenFile: 'token' },
      'certFile',
      /without TLS/,
    ],
    ['a webhook without token', { listen: '127.0.0.1:8090' }, 'tokenFile', /missing/],
    ['a webhook without address', { tokenFile: 'token' }, 'listen', /missing/],
    ['a webhook on no port', { listen: 'localhost:99999', tokenFile: 'token' }, 'listen', /HOST:PORT/],
  ])('%s', async (_what, webhook, member, says) => {
    const error = await faultsOf(changed(['source.mqtt', undefined], ['source.webhook', webhook]))
    expect(error.faults.map((fault) => fault.member)).toEqual([`source.webhook.${member}`])
    expect(error.message).toMatch(says)
  })

  test.each([
    ['broken YAML', 'source: [\n', /is not YAML \(line \d+\)/],
    ['a member twice', 'source: {}\nsource: {}\n', /is not YAML \(line 2\)/],
    ['a tag of another program', 'source: !secret password\n', /is not YAML/],
    ['a list', '- source\n', /must have members/],
    ['nothing', '', /must have members/],
  ])('%s', async (_what, text, says) => {
    expect((await faultsOf(text)).message).toMatch(says)
  })

  test('what is no file, and what is not there', async () => {
    await expect(readBridgeConfig(place.path('directory'))).rejects.toThrow('is not a file')
    await expect(readBridgeConfig(place.path('nowhere.yaml'))).rejects.toThrow('cannot be read')
    chmodSync(place.path('config.yaml'), 0o644)
    await read(baseline())
  })
})

describe('faults', () => {
  test('of all sections are told at once, one each', async () => {
    const draft = changed(
      ['source.kind', 'x'],
      ['sinks[0].url', 'mqtt://a.example'],
      ['keks[0].label', 'a b'],
      ['listen', 'x'],
    )
    const { faults } = await faultsOf(draft)
    expect(faults.map(({ member }) => member)).toEqual(['source.kind', 'sinks[0].url', 'keks[0].label', 'listen'])
  })

  test('repeat no secret that stands in the wrong place', async () => {
    const secret = KEK.slice(0, 30)
    for (const draft of [
      changed([`source.${secret}`, 'kek']),
      changed(['source.mqtt.password', secret]),
      changed(['source.mqtt.url', `mqtts://bridge:${secret}@broker.example`]),
      changed(['sinks[0].clientId', `${secret} `]),
      changed(['keks[0].label', ` ${secret}`]),
      `source: "${secret}`,
      secret,
    ]) {
      const { message } = await faultsOf(draft)
      expect(message).not.toContain(secret.slice(0, 16))
    }
    // The search finds one where it is told: file names are.
    const { message } = await faultsOf(changed(['keks[0].keyFile', secret]))
    expect(message).toContain(secret)
  })
})
