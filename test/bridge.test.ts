import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KekRing } from '@mortise/application-server'
import { hexToBytes, type MacVersion } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findPlaintexts } from '../packages/cli/src/demo/doors/network-view.ts'
import { BridgeScene, type JoinedDevice } from './support/bridge-scene.ts'
import type { ServerProcess } from './support/installation.ts'
import { SecretSearch } from './support/secret-search.ts'

/** From a device to its owner and back, with every process for real, and with the commands that an owner types. */
let scene: BridgeScene
let bridge: ServerProcess
beforeAll(async () => {
  scene = await BridgeScene.create()
  bridge = await scene.run()
}, 60_000)
afterAll(() => scene[Symbol.asyncDispose]())

const MAC_VERSIONS: readonly MacVersion[] = ['1.0.3', '1.0.4', '1.1.0']

describe('a bridge between the broker of the network and that of the owner', () => {
  test('is found good by its own check, but for itself, which runs', async () => {
    const { code, stdout } = await scene.installation.tryBare('bridge', 'check', '--config', scene.config, '--json')
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; detail: string }[] }
    expect(code).toBe(0)
    const others = checks.filter(({ status }) => status !== 'ok')
    expect(others.map(({ name, status }) => [name, status])).toEqual([
      ['data', 'skipped'],
      ['listen', 'skipped'],
    ])
  })

  test.each(MAC_VERSIONS)('opens what a device of LoRaWAN %s says, and seals what it is told', async (macVersion) => {
    const joined = await scene.join(macVersion)
    const text = `a reading of ${macVersion}, in clear`
    await scene.say(joined, text)
    await scene.hears(text)
    const { devEui } = joined.device.identity
    const { topic, event } = scene.received[scene.texts.indexOf(text)] ?? {}
    expect(topic).toMatch(new RegExp(`^application/[^/]+/device/${devEui}/event/up$`))
    expect(Buffer.from(event?.data ?? '', 'base64').toString()).toBe(text)
    expect(event?.object).toEqual({ text })
    expect(event).not.toHaveProperty('joinServerContext')

    const payload = Buffer.from(`a command for ${macVersion}, in clear`)
    const words = ['--dev-eui', devEui, '--f-port', '15', '--hex', payload.toString('hex')]
    const { code, stderr } = await scene.installation.tryBare('bridge', 'downlink', '--config', scene.config, ...words)
    expect(`${stderr}${code}`).toBe('0')
    await expect(deliver(joined)).resolves.toEqual(payload)
    // The network had neither, and what the network had is searched rightly.
    const seen = [...scene.published, ...scene.queued.map(({ data }) => data.toString('hex'))]
    const view = seen.map((one) => ({ kind: 'seen', text: one }))
    expect(findPlaintexts(view, [Buffer.from(text), payload])).toEqual([])
    const planted = { kind: 'seen', text: payload.toString('base64') }
    expect(findPlaintexts([...view, planted], [Buffer.from(text), payload])).toEqual([payload])
  })

  test('asks the join server where the network tells a session by its name alone', async () => {
    const joined = await scene.join('1.0.4')
    await scene.say(joined, 'the key of this one was fetched', true)
    await scene.hears('the key of this one was fetched')
  })

  test('takes the commands that applications publish at the owner’s broker', async () => {
    const joined = await scene.join('1.1.0')
    await scene.say(joined, 'ready for commands')
    await scene.hears('ready for commands')
    const { devEui } = joined.device.identity
    const data = Buffer.from('open the gate')
    await scene.command(devEui, { devEui, fPort: 15, data: data.toString('base64') })
    await scene.until(() => scene.queued.some((item) => item.devEui === devEui))
    await expect(deliver(joined)).resolves.toEqual(data)
  })

  test('says why a downlink was not sent', async () => {
    const words = ['--dev-eui', '0102030405060708', '--f-port', '15', '--hex', '00']
    const { code, stderr } = await scene.installation.tryBare(
      'bridge',
      'downlink',
      '--config',
      scene.config,
      ...words,
      '--json',
    )
    expect(code).toBe(1)
    expect(stderr).toContain('"code":"device_unknown"')
  })

  test('is the only one on its directory', async () => {
    const { code, stderr } = await scene.installation.tryBare('bridge', 'run', '--config', scene.config)
    expect(code).toBe(1)
    expect(stderr).toContain('Another bridge runs on')
    const joined = await scene.join('1.0.4')
    await scene.say(joined, 'the first one goes on')
    await scene.hears('the first one goes on')
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'loses nothing when it is ended by %s and started again',
    async (signal) => {
      const joined = await scene.join('1.0.4')
      const texts = Array.from({ length: 20 }, (_, n) => `${signal} ${n}`)
      for (const text of texts.slice(0, 10)) await scene.say(joined, text)
      await bridge.kill(signal)
      if (signal === 'SIGTERM') expect(bridge.child.exitCode).toBe(0)
      for (const text of texts.slice(10)) await scene.say(joined, text)
      bridge = await scene.run()
      await scene
        .until(() => texts.every((text) => scene.texts.includes(text)))
        .catch(() => {
          const missing = texts.filter((text) => !scene.texts.includes(text))
          throw new Error(`these did not come: ${missing.join(', ')}\n${bridge.output}`)
        })
    },
  )

  test('keeps nothing in clear on disk, and tells nothing in its log', async () => {
    const joined = await scene.join('1.1.0')
    const text = 'what nobody else may know of this door'
    await scene.say(joined, text)
    await scene.hears(text)
    const directory = join(scene.config, '..', 'data')
    const kek = hexToBytes(readFileSync(join(scene.config, '..', 'kek.hex'), 'latin1').trim())
    using kekRing = new KekRing()
    const { kekLabel, aesKey } = joined.known.context.appSKey
    kekRing.add(kekLabel, kek)
    const appSKey = kekRing.unwrapAppSKey({ kekLabel, aesKey: hexToBytes(aesKey) }).use((bytes) => Buffer.from(bytes))
    const search = new SecretSearch(
      new Map([
        ['text', Buffer.from(text)],
        ['KEK', Buffer.from(kek)],
        ['AppSKey', appSKey],
      ]),
    )
    // What lies there is found: the same key, wrapped.
    const wrapped = new SecretSearch(new Map([['wrapped', Buffer.from(hexToBytes(aesKey))]]))
    const files = ['queue.db', 'queue.db-wal', 'sessions.db', 'sessions.db-wal'].map((name) => join(directory, name))
    const present = files.filter((file) => existsSync(file))
    expect(present.length).toBeGreaterThanOrEqual(2)
    for (const file of present) expect(search.find(readFileSync(file))).toEqual([])
    expect(present.flatMap((file) => wrapped.find(readFileSync(file)))).toContain('wrapped (raw)')
    expect(search.findInText(bridge.output)).toEqual([])
    expect(search.findInText(`${bridge.output}${text}`)).toEqual(['text (raw)'])
  })
})

/** What the network has queued for a device goes on air, and the device opens it. */
async function deliver({ device }: JoinedDevice): Promise<Buffer> {
  const { devEui } = device.identity
  const index = scene.queued.findIndex((item) => item.devEui === devEui)
  const [item] = scene.queued.splice(index, 1)
  if (item?.isEncrypted !== true) throw new Error('nothing is queued, or not encrypted')
  const { fPort, fCntDown: fCnt, data } = item
  const frame = scene.network.sendDownlink({ devEui: device.identity.devEui, fPort, fCnt, frmPayload: data })
  return Buffer.from((await device.handleDownlink(frame)).payload)
}
