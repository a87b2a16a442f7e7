import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import {
  type DevEui,
  devEuiFromBytes,
  devEuiFromWire,
  joinEuiFromWire,
  type MacVersion,
  parseDevEui,
  parseJoinEui,
} from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import {
  CommandProcess,
  Device,
  type DeviceIdentity,
  type RootKeys,
  SECURE_ELEMENT_MAIN,
  type SecureElement,
  SecureElementProcess,
  SoftSecureElement,
} from '../src/index.ts'
import { codeOf } from './errors.ts'
import { type OracleSession, oracleDownlink, oracleJoin, oracleReadsUplink } from './oracle.ts'
import { keysFoundIn } from './search.ts'

const JOIN_EUI = parseJoinEui('70b3d57ed0000abc')
const DEV_EUI = parseDevEui('0004a30b001c0530')
const UNKNOWN = parseDevEui('0004a30b001c05ff')
const KEYS_16 = { appKey: Buffer.alloc(16, 1) }

function identityOf(macVersion: MacVersion, devEui: DevEui = DEV_EUI): DeviceIdentity {
  return { devEui, joinEui: JOIN_EUI, macVersion }
}

/** Lets a new device join through the oracle. */
async function joined(secureElement: SecureElement, identity: DeviceIdentity, dlSettings = 0) {
  await secureElement.createDevice(identity)
  const rootKeys = await secureElement.takeRootKeysForProvisioning(identity.devEui)
  const device = new Device(secureElement, identity)
  const devNonce = Buffer.from(await device.joinRequest()).readUInt16LE(17)
  const { phyPayload, session } = oracleJoin(identity, rootKeys, { devNonce, joinNonce: 1, dlSettings })
  await device.handleJoinAccept(phyPayload)
  return { device, rootKeys, session }
}

async function exchangeBothWays(device: Device, session: OracleSession): Promise<void> {
  const up = await device.uplink({ fPort: 2, payload: Buffer.from('door open'), fOpts: Buffer.of(2) })
  expect(oracleReadsUplink(session, up)).toMatchObject({ payload: 'door open', fOpts: '02' })
  const down = await device.handleDownlink(
    oracleDownlink(session, { fCnt: 0, fPort: 3, payload: 'lock', fOpts: '0203ff' }),
  )
  expect(Buffer.from(down.payload).toString()).toBe('lock')
  expect(Buffer.from(down.fOpts).toString('hex')).toBe('0203ff')
}

describe.each([
  ['in the own process', () => new SoftSecureElement()],
  ['as a process', () => new SecureElementProcess()],
])('a secure element %s', (_, create) => {
  test('makes the root keys that the version needs, new ones for each device', async () => {
    await using secureElement = create()
    const seen = new Set<string>()
    for (const [index, macVersion] of (['1.0.3', '1.0.4', '1.1.0', '1.1.0'] as const).entries()) {
      const devEui = devEuiFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, index))
      await secureElement.createDevice(identityOf(macVersion, devEui))
      const { appKey, nwkKey } = await secureElement.takeRootKeysForProvisioning(devEui)
      expect(appKey).toHaveLength(16)
      expect(nwkKey?.length).toBe(macVersion === '1.1.0' ? 16 : undefined)
      seen.add(Buffer.from(appKey).toString('hex'))
      if (nwkKey) seen.add(Buffer.from(nwkKey).toString('hex'))
    }
    expect(seen.size).toBe(6)
  })

  test('gives root keys out once', async () => {
    await using secureElement = create()
    await secureElement.createDevice(identityOf('1.0.3'))
    const take = () => secureElement.takeRootKeysForProvisioning(DEV_EUI)
    expect(await codeOf(take)).toBeUndefined()
    expect(await codeOf(take)).toBe('root_keys_taken')
    // Nor does making the device again bring them back.
    expect(await codeOf(() => secureElement.createDevice(identityOf('1.0.3')))).toBe('device_exists')
  })

  test.each([
    ['1.0.3', 0x00],
    ['1.1.0', 0x00],
    ['1.1.0', 0x80],
  ] as const)('serves a device of %s, DLSettings %i, for join and data', async (macVersion, dlSettings) => {
    await using secureElement = create()
    const { device, session } = await joined(secureElement, identityOf(macVersion), dlSettings)
    await exchangeBothWays(device, session)
  })

  test('keeps many devices apart', async () => {
    await using secureElement = create()
    const devices = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        joined(secureElement, identityOf('1.1.0', devEuiFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 1, index))), 0x80),
      ),
    )
    await Promise.all(devices.map(({ device, session }) => exchangeBothWays(device, session)))
    expect(new Set(devices.map(({ session }) => session.appSKey.toString('hex'))).size).toBe(20)
  })

  test('names what it refuses', async () => {
    await using secureElement = create()
    await secureElement.createDevice(identityOf('1.0.3'))
    const uplink = { message: Buffer.alloc(12), fCnt: 0, confFCnt: 0, txDr: 0, txCh: 0 }
    const frame = { direction: 'up', fPort: 1, fCnt: 0, payload: Buffer.alloc(1) } as const
    const fOpts = { direction: 'up', counter: 'FCntUp', fCnt: 0, fOpts: Buffer.alloc(1) } as const
    const codes = await Promise.all(
      [
        () => secureElement.signJoinRequest(UNKNOWN, 0),
        () => secureElement.takeRootKeysForProvisioning(UNKNOWN),
        () => secureElement.signUplink(UNKNOWN, uplink),
        () => secureElement.signUplink(DEV_EUI, uplink),
        () => secureElement.verifyDownlink(DEV_EUI, { ...uplink, mic: Buffer.alloc(4) }),
        () => secureElement.cryptFrmPayload(DEV_EUI, frame),
        () => secureElement.cryptFOpts(DEV_EUI, fOpts),
        () => secureElement.processJoinAccept(DEV_EUI, Buffer.alloc(17)),
      ].map(codeOf),
    )
    expect(codes).toEqual([
      'device_unknown',
      'device_unknown',
      'device_unknown',
      'no_session',
      'no_session',
      'no_session',
      'no_session',
      'no_join_pending',
    ])
    expect(await codeOf(() => secureElement.signJoinRequest(DEV_EUI, 0x10000))).toBe('frame_field')
    expect(await codeOf(() => secureElement.processJoinAccept(DEV_EUI, Buffer.alloc(17)))).toBe('no_join_pending')
  })

  test('has no FOpts encryption in a 1.0 session, and has it in one of 1.1', async () => {
    const fOpts = { direction: 'up', counter: 'FCntUp', fCnt: 0, fOpts: Buffer.alloc(1) } as const
    for (const [dlSettings, code] of [
      [0x00, 'not_in_this_session'],
      [0x80, undefined],
    ] as const) {
      await using secureElement = create()
      await joined(secureElement, identityOf('1.1.0'), dlSettings)
      expect(await codeOf(() => secureElement.cryptFOpts(DEV_EUI, fOpts))).toBe(code)
    }
  })
})

describe('the secure element in the own process', () => {
  test.each([
    ['a NwkKey for 1.0', '1.0.3', { ...KEYS_16, nwkKey: Buffer.alloc(16) }],
    ['no NwkKey for 1.1', '1.1.0', KEYS_16],
    ['an AppKey of 15 bytes', '1.0.3', { appKey: Buffer.alloc(15) }],
    ['a NwkKey of 24 bytes', '1.1.0', { ...KEYS_16, nwkKey: Buffer.alloc(24) }],
  ] as [string, MacVersion, RootKeys][])('does not load %s', async (_, macVersion, rootKeys) => {
    const secureElement = new SoftSecureElement()
    const load = (keys: RootKeys) => () => {
      secureElement.loadDevice(identityOf(macVersion), keys)
    }
    expect(await codeOf(load(rootKeys))).toBe('root_keys_malformed')
    const good = macVersion === '1.1.0' ? { ...KEYS_16, nwkKey: Buffer.alloc(16, 2) } : KEYS_16
    expect(await codeOf(load(good))).toBeUndefined()
  })

  test('does not give loaded root keys out, and does not print any', async () => {
    const secureElement = new SoftSecureElement()
    const appKey = Buffer.from('b6b53f4a168a7a88bdf7ea135ce9cfca', 'hex')
    secureElement.loadDevice(identityOf('1.0.3'), { appKey })
    expect(await codeOf(() => secureElement.takeRootKeysForProvisioning(DEV_EUI))).toBe('root_keys_taken')
    const printed = inspect(secureElement, { showHidden: true, depth: 20 }) + JSON.stringify(secureElement)
    expect(keysFoundIn(printed, { appKey })).toEqual([])
    expect(printed).not.toContain('b6 b5')
  })

  test('signs the published join-request (anthonykirby/lora-packet issue 10)', async () => {
    const secureElement = new SoftSecureElement()
    const appKey = Buffer.from('b6b53f4a168a7a88bdf7ea135ce9cfca', 'hex')
    const phyPayload = Buffer.from('00dc0000d07ed5b3701e6fedf57ceeaf0085cc587fe913', 'hex')
    const devEui = devEuiFromWire(phyPayload.subarray(9, 17))
    const joinEui = joinEuiFromWire(phyPayload.subarray(1, 9))
    secureElement.loadDevice({ devEui, joinEui, macVersion: '1.0.2' }, { appKey })
    const signed = await secureElement.signJoinRequest(devEui, phyPayload.readUInt16LE(17))
    expect(Buffer.from(signed).toString('hex')).toBe(phyPayload.toString('hex'))
  })
})

describe('the secure element as a process', () => {
  test('never writes a key, but the root keys when they are taken', async () => {
    const lines: string[] = []
    await using secureElement = new SecureElementProcess({ onLine: (line) => lines.push(line) })
    const devices = [
      await joined(secureElement, identityOf('1.0.3', devEuiFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)))),
      await joined(secureElement, identityOf('1.1.0', devEuiFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2))), 0x80),
      await joined(secureElement, identityOf('1.1.0', devEuiFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 3)))),
    ]
    for (const { device, session } of devices) {
      await exchangeBothWays(device, session)
      await codeOf(() => secureElement.takeRootKeysForProvisioning(device.identity.devEui))
      await codeOf(() => device.handleJoinAccept(Buffer.alloc(17, 0x20)))
    }
    expect(lines.length).toBeGreaterThan(30)
    for (const { rootKeys, session } of devices) {
      const { appSKey, fNwkSIntKey, sNwkSIntKey, nwkSEncKey } = session
      expect(keysFoundIn(lines.join('\n'), { appSKey, fNwkSIntKey, sNwkSIntKey, nwkSEncKey })).toEqual([])
      // The needle: the search finds the root keys, in the one line that was meant to have them.
      const { appKey, nwkKey = appKey } = rootKeys
      const found = lines.filter((line) => keysFoundIn(line, { appKey, nwkKey }).length > 0)
      expect(found).toHaveLength(1)
      expect(keysFoundIn(found.join(), { appKey, nwkKey })).toEqual(['appKey', 'nwkKey'])
    }
  })

  test.each([
    ['hexadecimal', (key: Buffer) => key.toString('hex')],
    ['capital hexadecimal', (key: Buffer) => key.toString('hex').toUpperCase()],
    ['raw bytes', (key: Buffer) => key.toString('latin1')],
    ['base64', (key: Buffer) => key.toString('base64')],
    ['base64 among other bytes', (key: Buffer) => Buffer.concat([Buffer.of(1), key, Buffer.of(2)]).toString('base64')],
    ['base64 after two bytes', (key: Buffer) => Buffer.concat([Buffer.of(1, 2), key, Buffer.of(3)]).toString('base64')],
  ])('is searched for keys as %s', (_, spell) => {
    const needle = Buffer.from('b6b53f4a168a7a88bdf7ea135ce9cfca', 'hex')
    expect(keysFoundIn(`{"x":"${spell(needle)}"}`, { needle })).toEqual(['needle'])
    expect(keysFoundIn(`{"x":"${spell(Buffer.alloc(16, 9))}"}`, { needle })).toEqual([])
  })

  test('answers no command beyond the operations', async () => {
    await using child = new CommandProcess({ program: SECURE_ELEMENT_MAIN })
    for (const command of ['loadDevice', 'getKey', 'constructor', '__proto__', 'session', '']) {
      expect(await codeOf(() => child.request(command, { devEui: DEV_EUI }))).toBe('command_unknown')
    }
    const { devEui, joinEui, macVersion } = identityOf('1.0.3')
    const create = (members: object) => () => child.request('createDevice', { ...members })
    expect(await codeOf(create({ devEui, joinEui }))).toBe('member_malformed')
    expect(await codeOf(create({ devEui, joinEui, macVersion: '2.0' }))).toBe('mac_version_unknown')
    expect(await codeOf(create({ devEui: 'x', joinEui, macVersion }))).toBe('identifier_malformed')
    expect(await codeOf(create({ devEui, joinEui, macVersion }))).toBeUndefined()
  })

  test.skipIf(process.platform !== 'linux')(
    'is not taken for a part of the trust boundary, and has no key in its arguments',
    async () => {
      await using child = new CommandProcess({ program: SECURE_ELEMENT_MAIN })
      await codeOf(() => child.request('none'))
      const args = readFileSync(`/proc/${String(child.pid)}/cmdline`, 'utf8')
        .split('\0')
        .filter(Boolean)
      expect(args).toEqual([process.execPath, fileURLToPath(SECURE_ELEMENT_MAIN)])
      expect(fileURLToPath(SECURE_ELEMENT_MAIN)).not.toMatch(/hsm/i)
    },
  )

  test('ends with its parent, also when that is killed', () => {
    const parent = `
      import { CommandProcess, SECURE_ELEMENT_MAIN } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
      const child = new CommandProcess({ program: SECURE_ELEMENT_MAIN })
      await child.request('none').catch(() => undefined)
      console.log(child.pid)
      process.kill(process.pid, 'SIGKILL')`
    const pid = Number(runKilled(parent))
    expect(pid).toBeGreaterThan(1)
    expect(waitUntilGone(pid)).toBe(true)
  })

  test('fails what is under way and all that follows when it dies', async () => {
    await using child = new CommandProcess({ program: SECURE_ELEMENT_MAIN })
    await codeOf(() => child.request('none'))
    const underWay = codeOf(() => child.request('createDevice', { ...identityOf('1.0.3') }))
    process.kill(child.pid ?? 0, 'SIGKILL')
    expect(['process_ended', undefined]).toContain(await underWay)
    expect(await codeOf(() => child.request('none'))).toBe('process_ended')
  })
})

function runKilled(source: string): string {
  try {
    return execFileSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  } catch (error) {
    // It kills itself, so that its output stands in the error.
    return (error as { stdout: string }).stdout
  }
}

function waitUntilGone(pid: number): boolean {
  for (let tries = 0; tries < 200; tries++) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  return false
}
