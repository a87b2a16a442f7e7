import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkDeviceFile, readBatches } from '../src/devices/device-file.ts'
import { parseDeviceLine } from '../src/devices/device-line.ts'
import { readLines } from '../src/devices/read-lines.ts'
import { readKeysFile } from '../src/devices/root-keys.ts'
import { Workplace } from './mortise.ts'

let place: Workplace
beforeEach(() => {
  place = new Workplace()
})
afterEach(() => {
  place[Symbol.dispose]()
})

const APP_KEY = '2b7e151628aed2a6abf7158809cf4f3c'
const NWK_KEY = '603deb1015ca71be2b73aef0857d7781'
const LINE = {
  devEui: '0004A30B001C0530',
  joinEui: '70b3d57ed0000001',
  macVersion: '1.0.3',
  appKey: APP_KEY,
  as: 'door-app',
  networks: ['000013'],
}
const text = (change: Record<string, unknown>) => JSON.stringify({ ...LINE, ...change })

describe('a line of a device file', () => {
  test('is read, in canonical form', () => {
    const { keys, ...entry } = parseDeviceLine(text({}))
    expect(entry).toEqual({
      devEui: '0004a30b001c0530',
      joinEui: '70b3d57ed0000001',
      macVersion: '1.0.3',
      applicationServers: ['door-app'],
      networkIsApplicationServer: false,
      networks: ['000013'],
    })
    expect(Buffer.from(keys.appKey).toString('hex')).toBe(APP_KEY)
  })

  test.each([
    ['several application servers', { as: ['a', 'b'] }, { applicationServers: ['a', 'b'] }],
    ['no application server', { as: undefined }, { applicationServers: [] }],
    ['the network itself', { as: 'network' }, { applicationServers: [], networkIsApplicationServer: true }],
    ['no network', { networks: [] }, { networks: [] }],
    ['LoRaWAN 1.1 with both keys', { macVersion: '1.1', nwkKey: NWK_KEY }, { macVersion: '1.1.0' }],
  ])('may have %s', (_what, change, expected) => {
    expect(parseDeviceLine(text(change))).toMatchObject(expected)
  })

  test.each([
    ['an unknown member', { appkey: APP_KEY }, 'unknown member "appkey"'],
    ['no DevEUI', { devEui: undefined }, 'devEui is missing'],
    ['a short DevEUI', { devEui: '0004a30b001c05' }, 'devEui must be 16 hexadecimal digits'],
    ['a JoinEUI that is a number', { joinEui: 7 }, 'joinEui must be 16 hexadecimal digits'],
    ['an unknown version', { macVersion: '1.2' }, 'macVersion must be one of 1.0.0'],
    ['no AppKey', { appKey: undefined }, 'appKey is missing'],
    ['a short AppKey', { appKey: '2b7e' }, 'appKey must be 32 hexadecimal digits'],
    ['an AppKey of zeros', { appKey: '0'.repeat(32) }, 'appKey is all zeros'],
    ['a NwkKey for LoRaWAN 1.0', { nwkKey: NWK_KEY }, 'nwkKey is unexpected'],
    ['no NwkKey for LoRaWAN 1.1', { macVersion: '1.1' }, 'nwkKey is missing'],
    ['an AS-ID with a space', { as: 'door app' }, 'as must hold AS-IDs'],
    ['the network beside others', { as: ['network', 'a'] }, 'as: "network" stands alone'],
    ['one application server twice', { as: ['a', 'a'] }, 'as names one twice'],
    ['too many application servers', { as: Array.from({ length: 17 }, (_, i) => `as-${i}`) }, 'as has more than 16'],
    ['networks that are no list', { networks: '000013' }, 'networks must be an array'],
    ['a network that is no NetID', { networks: ['13'] }, 'networks must hold NetIDs'],
  ])('may not have %s', (_what, change, message) => {
    expect(() => parseDeviceLine(text(change))).toThrow(message)
  })

  test.each(['', 'null', '[]', '"x"', '{'])('must be a JSON object, not %j', (line) => {
    expect(() => parseDeviceLine(line)).toThrow(/not (JSON|a JSON object)/)
  })

  test('never quotes a key in its refusal', () => {
    const key = 'f00dfeedf00dfeedf00dfeedf00dfee'
    for (const line of [text({ appKey: key }), text({ nwkKey: key }), `{"appKey":"${key}"`])
      expect(() => parseDeviceLine(line)).toThrow(expect.not.stringContaining(key) as Error)
  })
})

describe('lines of a stream', () => {
  test('are the same however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.stringMatching(/^[a-zäß€]{0,12}$/)), fc.nat(7), async (lines, cut) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const read: (string | undefined)[] = []
        for await (const { text } of readLines(cutInto(bytes, cut + 1), 64)) read.push(text)
        expect(read).toEqual(lines)
      }),
    )
  })

  test('may be as long as the limit and no longer; what follows is read', async () => {
    const read: unknown[] = []
    for await (const line of readLines(cutInto(Buffer.from('12345678\n123456789\nok'), 3), 8)) read.push(line)
    expect(read).toEqual([
      { number: 1, text: '12345678' },
      { number: 2, text: undefined },
      { number: 3, text: 'ok' },
    ])
  })
})

async function* cutInto(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve()
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('a device file', () => {
  const numbered = (count: number) =>
    Array.from({ length: count }, (_, index) => text({ devEui: index.toString(16).padStart(16, '0') }))

  test('is read in batches, with line numbers; empty lines count', async () => {
    const [first = '', ...rest] = numbered(5)
    const path = place.secret('devices.jsonl', `${first}\r\n\n${rest.join('\n')}`)
    expect(await checkDeviceFile(path)).toEqual({ devices: 5, withoutApplicationServer: 0, withoutNetwork: 0 })
    const batches: number[][] = []
    for await (const batch of readBatches(path, 2)) batches.push(batch.map(({ line }) => line))
    expect(batches).toEqual([[1, 3], [4, 5], [6]])
  })

  test('is refused whole, with every line that is wrong', async () => {
    const lines = [
      text({}),
      'not JSON',
      text({ devEui: LINE.devEui.toLowerCase() }),
      text({ devEui: '1'.repeat(16), as: 7 }),
    ]
    const path = place.secret('devices.jsonl', lines.join('\n'))
    await expect(checkDeviceFile(path)).rejects.toMatchObject({
      code: 'device_file_invalid',
      facts: {
        lines: [
          { line: 2, message: 'not JSON' },
          { line: 3, message: 'DevEUI 0004a30b001c0530 stands in line 1 already' },
          { line: 4, message: 'as must be an array of AS-IDs' },
        ],
      },
    })
  })

  test('stops telling after twenty faults', async () => {
    const path = place.secret('devices.jsonl', Array.from({ length: 100 }, () => '{}').join('\n'))
    const failure = checkDeviceFile(path)
    await expect(failure).rejects.toThrow('the first 20 faults')
    await expect(failure).rejects.toHaveProperty('facts.lines.length', 20)
  })

  test('is refused when others can read it, or when it is empty', async () => {
    const exposed = place.secret('exposed.jsonl', text({}), 0o640)
    await expect(checkDeviceFile(exposed)).rejects.toMatchObject({
      code: 'secret_file_exposed',
      hint: `chmod 600 ${exposed}`,
    })
    await expect(checkDeviceFile(place.secret('empty.jsonl', '\n'))).rejects.toThrow('no device')
    await expect(checkDeviceFile(place.path('missing.jsonl'))).rejects.toMatchObject({ code: 'file_missing' })
  })
})

describe('a keys file', () => {
  test('has one key for LoRaWAN 1.0.x, two for 1.1', () => {
    const one = place.secret('one.json', JSON.stringify({ appKey: APP_KEY }))
    const two = place.secret('two.json', JSON.stringify({ appKey: APP_KEY, nwkKey: NWK_KEY }))
    expect(readKeysFile(one, '1.0.4').nwkKey).toBeUndefined()
    expect(readKeysFile(two, '1.1.0').nwkKey).toHaveLength(16)
    expect(() => readKeysFile(one, '1.1.0')).toThrow('nwkKey is missing')
    expect(() => readKeysFile(two, '1.0.4')).toThrow('nwkKey is unexpected')
  })

  test.each([
    ['a member that it does not know', JSON.stringify({ appKey: APP_KEY, genAppKey: APP_KEY }), 'unknown member'],
    ['something else than JSON', APP_KEY, 'not JSON'],
    ['no key', '{}', 'appKey is missing'],
  ])('is refused with %s', (_what, content, message) => {
    expect(() => readKeysFile(place.secret('keys.json', content), '1.0.3')).toThrow(message)
  })

  test('is refused when others can read it', () => {
    const exposed = place.secret('keys.json', JSON.stringify({ appKey: APP_KEY }), 0o604)
    expect(() => readKeysFile(exposed, '1.0.3')).toThrow('can be read by others')
  })
})
