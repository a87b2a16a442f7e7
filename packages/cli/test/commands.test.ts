import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DeviceView, OrderReport, ServerStatus } from '@mortise/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initialise, json, mortise, Server, Workplace } from './mortise.ts'

const DEV_EUI = '0004a30b001c0530'
const APP_KEY = '2b7e151628aed2a6abf7158809cf4f3c'

let place: Workplace
beforeAll(async () => {
  place = new Workplace()
  await initialise(place)
})
afterAll(() => {
  place[Symbol.dispose]()
})

const at = (...words: string[]) => [...words, '--data', place.data]
const device = (devEui: string, ...more: string[]) =>
  at('device', 'add', '--dev-eui', devEui, '--join-eui', '70b3d57ed0000001', ...more)

async function untilReady(): Promise<ServerStatus> {
  for (;;) {
    const status = await json<ServerStatus>(at('status'))
    if (status.hsm.state === 'ready' && status.waitingOrders === 0) return status
    await delay(100)
  }
}

// One installation from its first offline orders to its end: the tests build on one another, in this order.
describe('an installation', () => {
  test('takes orders while nothing runs, and says that they wait', async () => {
    const ns = await mortise(at('peer', 'add', 'ns', '--net-id', '000013', '--issue-certificate', place.path('ns')))
    expect(ns.code).toBe(0)
    expect(ns.stdout).toContain('takes effect when the server next starts')
    expect(statSync(place.path('ns/key.pem')).mode & 0o777).toBe(0o600)
    expect(readFileSync(place.path('ns/ca.pem'), 'utf8')).toBe(readFileSync(join(place.data, 'ca.pem'), 'utf8'))
    const kek = place.secret('kek.hex', `${'5a'.repeat(32)}\n`)
    const set = at('kek', 'set', '--as', 'door-app', '--label', 'door-1', '--key-file', kek)
    expect(await json(set)).toMatchObject({ state: 'waiting', kind: 'as', recipient: 'door-app', size: 32 })
    const keys = place.secret('keys.json', JSON.stringify({ appKey: APP_KEY }))
    const more = ['--mac-version', '1.0.3', '--keys-file', keys, '--as', 'door-app', '--network', '000013']
    expect(await json(device(DEV_EUI, ...more))).toMatchObject({
      state: 'waiting',
      devEui: DEV_EUI,
      networks: ['000013'],
    })
  })

  test('does not show a device that waits, but says that orders wait', async () => {
    const { code, stderr } = await mortise(at('device', 'show', DEV_EUI, '--json'))
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({ code: 'device_unknown', waitingOrders: 3 })
    expect(await json(at('status'))).toMatchObject({ running: false, waitingOrders: 3, devices: 0 })
  })

  test('warns in status of keys that still lie beside the server, until they are moved', async () => {
    const before = await json<ServerStatus>(at('status'))
    expect(before.warnings.join('\n')).toMatch(/recovery-key[^]*operator-key\.pem/)
    renameSync(join(place.data, 'operator'), place.path('operator'))
    expect((await json<ServerStatus>(at('status'))).warnings).toEqual([])
    renameSync(place.path('operator'), join(place.data, 'operator'))
  })

  let server: Server
  test('starts sealed without a secret file, warns of the operator files, and adopts what waits once it is unsealed', async () => {
    server = await Server.start(place.data)
    expect(await json(at('status'))).toMatchObject({ running: true, devices: 0, waitingOrders: 3 })
    const wrong = place.secret('wrong', 'not the passphrase\n')
    const refused = await mortise(at('unseal', '--passphrase-file', wrong))
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('wrong_passphrase')
    expect(await json(at('unseal', '--passphrase-file', place.passphraseFile))).toEqual({
      state: 'unsealed',
      already: false,
    })
    expect(await untilReady()).toMatchObject({ running: true, devices: 1, refusedOrders: [] })
    expect(await json(at('unseal'))).toEqual({ state: 'unsealed', already: true })
  })

  test('has one server: a second one says what is in its way', async () => {
    const second = await mortise(at('serve', '--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0'))
    expect(second.code).toBe(1)
    expect(second.stderr).toContain('[database_locked]')
  })

  test('shows the device, and never a key', async () => {
    const shown = await json<DeviceView>(at('device', 'show', DEV_EUI))
    expect(shown).toMatchObject({
      devEui: DEV_EUI,
      macVersion: '1.0.3',
      applicationServers: ['door-app'],
      lastJoinNonce: 0,
    })
    const text = (await mortise(at('device', 'show', DEV_EUI))).stdout
    expect(text).toContain('JoinNonce            none yet')
    for (const told of [text, JSON.stringify(shown)]) expect(told.toLowerCase()).not.toContain(APP_KEY)
  })

  test('carries out orders at once while it runs', async () => {
    const add = await mortise(device('0004a30b001c0531', '--mac-version', '1.1', '--generate'))
    expect(add.stdout).toContain('It is in effect.')
    expect(add.stdout).toContain('No network may activate it yet')
    expect(await json(at('device', 'show', '0004a30b001c0531'))).toMatchObject({
      keysDelivered: false,
      macVersion: '1.1.0',
    })
    const set = at('device', 'set', '0004A30B001C0531', '--as', 'a', '--as', 'b', '--network', '600002')
    expect(await json(set)).toMatchObject({ state: 'adopted', applicationServers: ['a', 'b'], networks: ['600002'] })
    expect(await json(at('device', 'show', '0004a30b001c0531'))).toMatchObject({
      recordVersion: 2,
      networks: ['600002'],
    })
    expect(await json(at('device', 'remove', '0004a30b001c0531', '--yes'))).toMatchObject({ state: 'adopted' })
    expect((await mortise(at('device', 'show', '0004a30b001c0531'))).stderr).toContain('there is no device')
  })

  test('sets one list of a device and leaves the other; `--as network` is the network itself', async () => {
    const devEui = '0004a30b001c0533'
    await json(
      at(
        'device',
        'add',
        '--dev-eui',
        devEui,
        '--join-eui',
        '70b3d57ed0000a02',
        '--mac-version',
        '1.0.4',
        '--generate',
        '--as',
        'a',
        '--network',
        '000013',
      ),
    )
    const show = () => json(at('device', 'show', devEui))
    await json(at('device', 'set', devEui, '--network', '600002'))
    expect(await show()).toMatchObject({
      applicationServers: ['a'],
      networks: ['600002'],
      networkIsApplicationServer: false,
    })
    await json(at('device', 'set', devEui, '--as', 'network'))
    expect(await show()).toMatchObject({
      applicationServers: [],
      networks: ['600002'],
      networkIsApplicationServer: true,
    })
    const { code, stderr } = await mortise(at('device', 'set', devEui))
    expect(code).toBe(2)
    expect(stderr).toContain('say what to change')
    await json(at('device', 'remove', devEui, '--yes'))
  })

  test('destroys nothing without a terminal unless told to', async () => {
    const { code, stderr } = await mortise(at('device', 'remove', DEV_EUI))
    expect(code).toBe(1)
    expect(stderr).toContain('mortise: hint: give --yes')
    expect(await json(at('device', 'show', DEV_EUI))).toMatchObject({ devEui: DEV_EUI })
  })

  test('warns of recipients that are not there yet, and of none that are', async () => {
    const set = (...more: string[]) => mortise(at('device', 'set', DEV_EUI, ...more))
    const { stderr } = await set('--as', 'nobody', '--network', '000099')
    expect(stderr).toContain('no peer 000099 yet')
    expect(stderr).toContain('no peer nobody yet')
    expect(stderr).toContain('nobody has no KEK: joins will be refused until: mortise kek set --as nobody')
    const back = await set('--as', 'door-app', '--network', '000013')
    expect(back.stderr).not.toMatch(/no peer 000013|no KEK/)
  })

  test('refuses a device that is there already', async () => {
    const { code, stderr } = await mortise(device(DEV_EUI, '--mac-version', '1.0.3', '--generate'))
    expect(code).toBe(1)
    expect(stderr).toContain('[device_exists]')
  })

  test('adds a file of devices, in orders of 200', async () => {
    const lines = Array.from({ length: 201 }, (_, index) => ({
      devEui: (0x0004a30b00000000n + BigInt(index)).toString(16).padStart(16, '0'),
      joinEui: '70b3d57ed0000001',
      macVersion: '1.0.4',
      appKey: (0x1000n + BigInt(index)).toString(16).padStart(32, '7'),
      as: 'door-app',
      networks: ['000013'],
    }))
    const file = place.secret('devices.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'))
    const added = await json<{ orders: number[] }>(at('device', 'add', '--file', file))
    expect(added).toMatchObject({ devices: 201, adopted: 201, waiting: 0, withoutNetwork: 0 })
    expect(added.orders).toHaveLength(2)
    const page = await json<{ devices: DeviceView[]; next: string }>(at('device', 'list', '--limit', '200'))
    expect(page.devices).toHaveLength(200)
    const rest = await json<{ devices: DeviceView[] }>(at('device', 'list', '--after', page.next))
    expect(rest.devices).toHaveLength(2)
    const again = await mortise(at('device', 'add', '--file', file))
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('lines 1 to 200 were refused together')
  })

  test('lists peers and KEKs, disables, removes', async () => {
    expect(await json(at('peer', 'list'))).toMatchObject([
      { kind: 'ns', id: '000013', state: 'active', protocol: '1.0' },
    ])
    expect(await json<OrderReport>(at('peer', 'disable', '000013', '--yes'))).toMatchObject({ state: 'adopted' })
    expect(await json(at('peer', 'show', 'ns:000013'))).toMatchObject({ state: 'disabled' })
    expect(await json(at('peer', 'remove', '000013', '--yes'))).toMatchObject({ state: 'adopted' })
    expect(await json(at('peer', 'list'))).toEqual([])
    expect(await json(at('kek', 'show', 'door-1'))).toMatchObject({ recipient: 'door-app', version: 1, size: 32 })
    expect(await json(at('kek', 'remove', 'door-1', '--yes'))).toMatchObject({ state: 'adopted' })
    expect(await json(at('kek', 'list'))).toEqual([])
  })

  test('lets in a peer with a certificate of its own, and writes nothing when that is refused', async () => {
    const add = at('peer', 'add', 'as', '--as-id', 'door-app', '--certificate', place.path('ns/cert.pem'))
    expect(await json(add)).toMatchObject({ state: 'adopted', kind: 'as', id: 'door-app' })
    const second = at('peer', 'add', 'as', '--as-id', 'door-app', '--issue-certificate', place.path('second'))
    const { code, stderr } = await mortise(second)
    expect(code).toBe(1)
    expect(stderr).toContain('[peer_exists]')
    expect(() => statSync(place.path('second'))).toThrow()
  })

  test('is reached from elsewhere by URL, with the operator’s files', async () => {
    const elsewhere = ['--data', place.path('nothing-here'), '--url', server.facts.api]
    const operatorKey = ['--operator-key-file', join(place.data, 'operator/operator-key.pem')]
    const caFile = ['--ca-file', join(place.data, 'ca.pem')]
    expect(await json(['status', ...elsewhere, ...operatorKey, ...caFile])).toMatchObject({
      running: true,
      devices: 202,
    })
    const otherCa = ['--ca-file', place.path('ns/cert.pem')]
    const refused = await mortise(['status', ...elsewhere, ...operatorKey, ...otherCa, '--json'])
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.stderr)).toMatchObject({ code: 'server_unreachable' })
  })

  test('lets API keys in until they are revoked', async () => {
    const file = place.path('monitoring.key')
    const { apiKeyId } = await json<{ apiKeyId: string }>(at('api-key', 'create', 'monitoring', '--out', file))
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const list = at('device', 'list', '--limit', '1', '--api-key-file', file)
    expect((await mortise(list)).code).toBe(0)
    expect(await json(at('api-key', 'revoke', apiKeyId))).toEqual({ apiKeyId, revoked: true })
    expect((await mortise(list)).stderr).toContain('does not accept the API key')
    expect(await json(at('api-key', 'show', 'monitoring'))).toMatchObject({ revokedAt: expect.any(String) as string })
  })

  test('stops in order, and is then worked on under its lock', async () => {
    const { code, stderr } = await server.stop()
    expect(code).toBe(0)
    expect(stderr).toMatch(/warning: the server can read .*operator-key\.pem/)
    expect(stderr).toContain('mortise unseal --data')
    expect(await json(at('status'))).toMatchObject({ running: false, devices: 202 })
  })

  test('takes its options from mortise.yaml', async () => {
    writeFileSync(join(place.data, 'mortise.yaml'), `passphraseFile: ${place.passphraseFile}\n`)
    const again = await Server.start(place.data)
    try {
      expect((await untilReady()).devices).toBe(202)
    } finally {
      await again.stop()
    }
  })
})

describe('key files', () => {
  test.each([
    ['15 bytes', '5a'.repeat(15)],
    ['no hexadecimal digits', 'z'.repeat(32)],
    ['zeros', '00'.repeat(16)],
  ])('with %s are no KEK', async (_what, content) => {
    const path = place.secret('bad.hex', content)
    const { code, stderr } = await mortise(at('kek', 'set', '--as', 'a', '--label', 'l', '--key-file', path))
    expect(code).toBe(1)
    expect(stderr).toContain(path)
    expect(stderr).not.toContain(content)
  })

  test('that are missing, or a directory, are refused with what makes one', async () => {
    const missing = place.path('none.hex')
    const set = (path: string) => mortise(at('kek', 'set', '--as', 'a', '--label', 'l', '--key-file', path))
    expect((await set(missing)).stderr).toContain(`hint: (umask 077 && openssl rand -hex 32 > ${missing})`)
    const directory = await set('/tmp')
    expect(directory.stderr).toContain('/tmp is not a regular file')
    expect(directory.stderr).not.toContain('chmod')
  })

  test('that others can read are refused with the command that mends them', async () => {
    const path = place.secret('open.hex', '5a'.repeat(16), 0o644)
    const { code, stderr } = await mortise(at('kek', 'set', '--as', 'a', '--label', 'l', '--key-file', path))
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `mortise: error: ${path} can be read by others\nmortise: hint: chmod 600 ${path}\n`,
    })
  })
})
