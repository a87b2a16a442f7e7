import { execFileSync } from 'node:child_process'
import { bytesToHex, MAC_VERSIONS, type MacVersion, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { Device, type DeviceIdentity, type JoinResult, SoftSecureElement } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { bigEndian, loraPacket } from './lora-packet.ts'
import {
  type OracleAccept,
  type OracleSession,
  oracleDownlink,
  oracleJoin,
  oracleReadsUplink,
  sealed,
} from './oracle.ts'

const APP_KEY = Buffer.from('b6b53f4a168a7a88bdf7ea135ce9cfca', 'hex')
const NWK_KEY = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex')

const KINDS: { name: string; macVersion: MacVersion; dlSettings: number }[] = [
  ...MAC_VERSIONS.map((macVersion) => ({ name: macVersion, macVersion, dlSettings: 0x00 })),
  { name: '1.1.0 with OptNeg', macVersion: '1.1.0', dlSettings: 0x80 },
]

interface Bench {
  readonly device: Device
  readonly identity: DeviceIdentity
  /** The device's request and what the oracle makes of it; the device has not heard it yet. */
  readonly join: (
    accept: Partial<OracleAccept> & { joinNonce: number },
  ) => Promise<{ phyPayload: Buffer; session: OracleSession }>
}

function bench(macVersion: MacVersion): Bench {
  const identity = { devEui: parseDevEui('0004a30b001c0530'), joinEui: parseJoinEui('70b3d57ed0000abc'), macVersion }
  const rootKeys = macVersion === '1.1.0' ? { appKey: APP_KEY, nwkKey: NWK_KEY } : { appKey: APP_KEY }
  const secureElement = new SoftSecureElement()
  secureElement.loadDevice(identity, rootKeys)
  const device = new Device(secureElement, identity)
  return {
    device,
    identity,
    async join(accept) {
      return oracleJoin(identity, rootKeys, { devNonce: devNonceOf(await device.joinRequest()), ...accept })
    },
  }
}

function devNonceOf(joinRequest: Uint8Array): number {
  return Buffer.from(joinRequest).readUInt16LE(17)
}

async function joined(kind: { macVersion: MacVersion; dlSettings: number }) {
  const { device, join } = bench(kind.macVersion)
  const { phyPayload, session } = await join({ joinNonce: 1, dlSettings: kind.dlSettings })
  await device.handleJoinAccept(phyPayload)
  return { device, session, join }
}

const HELLO = { fPort: 2, payload: Buffer.from('door open') }

describe.each(KINDS)('a device of $name', (kind) => {
  test('sends a join-request that lora-packet verifies', async () => {
    const { device, identity } = bench(kind.macVersion)
    const packet = loraPacket.fromWire(Buffer.from(await device.joinRequest()))
    const key = kind.macVersion === '1.1.0' ? NWK_KEY : APP_KEY
    expect(loraPacket.verifyMIC(packet, undefined, key)).toBe(true)
    expect(packet.DevEUI?.toString('hex')).toBe(identity.devEui)
    expect(packet.AppEUI?.toString('hex')).toBe(identity.joinEui)
  })

  test('reads every field of the join-accept, with and without CFList', async () => {
    for (const cfList of [undefined, '184f84e85684b85e84886684586e8400']) {
      const { device, join } = bench(kind.macVersion)
      const dlSettings = kind.dlSettings | 0x23
      const { phyPayload } = await join({
        joinNonce: 0xabcdef,
        netId: 'c00035',
        devAddr: 'fc00ac01',
        dlSettings,
        rxDelay: 5,
        ...(cfList && { cfList }),
      })
      expect(await device.handleJoinAccept(phyPayload)).toEqual({
        joinNonce: 0xabcdef,
        netId: 'c00035',
        devAddr: 'fc00ac01',
        dlSettings,
        rxDelay: 5,
        ...(cfList && { cfList: Uint8Array.from(Buffer.from(cfList, 'hex')) }),
        optNeg: kind.dlSettings === 0x80,
      } as JoinResult)
    }
  })

  test('derives the session keys: lora-packet verifies and decrypts its uplinks, also FPort 0 and FOpts', async () => {
    const { device, session } = await joined(kind)
    const read = { devAddr: session.devAddr, ack: false, payload: 'door open', fOpts: '' }
    expect(oracleReadsUplink(session, await device.uplink(HELLO))).toEqual({
      ...read,
      fCnt: 0,
      fPort: 2,
      confirmed: false,
    })
    const confirmed = await device.uplink({ ...HELLO, confirmed: true, fOpts: Buffer.from('0307', 'hex') })
    expect(oracleReadsUplink(session, confirmed)).toEqual({
      ...read,
      fCnt: 1,
      fPort: 2,
      confirmed: true,
      fOpts: '0307',
    })
    const port0 = await device.uplink({ ...HELLO, fPort: 0 })
    expect(oracleReadsUplink(session, port0)).toEqual({ ...read, fCnt: 2, fPort: 0, confirmed: false })
  })

  test('sends nothing of its payload in clear', async () => {
    const { device } = await joined(kind)
    expect(Buffer.from(await device.uplink(HELLO)).includes('door')).toBe(false)
  })

  test('reads the downlinks that lora-packet makes', async () => {
    const { device, session } = await joined(kind)
    const fOpts = '020701'
    const application = await device.handleDownlink(
      oracleDownlink(session, { fCnt: 3, fPort: 9, payload: 'lock', fOpts }),
    )
    expect(application).toMatchObject({ fPort: 9, fCnt: 3, confirmed: false, acknowledgedFCntUp: undefined })
    expect(Buffer.from(application.payload).toString()).toBe('lock')
    expect(bytesToHex(application.fOpts)).toBe(fOpts)
    const network = await device.handleDownlink(oracleDownlink(session, { fCnt: 4, fPort: 0, payload: 'mac' }))
    expect(Buffer.from(network.payload).toString()).toBe('mac')
  })

  test('acknowledges a confirmed downlink once, and hears the acknowledgement of its own uplink', async () => {
    const { device, session } = await joined(kind)
    await device.uplink(HELLO)
    await device.uplink({ ...HELLO, confirmed: true })
    const confirmed = { fCnt: 7, fPort: 9, payload: 'lock', confirmed: true, ack: true, confFCnt: 1 }
    const heard = await device.handleDownlink(oracleDownlink(session, confirmed))
    expect(heard).toMatchObject({ confirmed: true, acknowledgedFCntUp: 1 })
    const uplinks = [await device.uplink(HELLO), await device.uplink(HELLO)] as const
    expect(oracleReadsUplink(session, uplinks[0], { confFCnt: 7 })).toMatchObject({ ack: true, fCnt: 2 })
    expect(oracleReadsUplink(session, uplinks[1])).toMatchObject({ ack: false, fCnt: 3 })
  })

  test('counts downlinks beyond 16 bits, and refuses the same one twice', async () => {
    const { device, session } = await joined(kind)
    const down = (fCnt: number) => oracleDownlink(session, { fCnt, fPort: 9, payload: 'lock' })
    for (const fCnt of [0xfffe, 0xffff, 0x10000, 0x1fff0]) {
      expect((await device.handleDownlink(down(fCnt))).fCnt).toBe(fCnt)
      expect(await codeOf(() => device.handleDownlink(down(fCnt)))).toBe('f_cnt_replayed')
    }
    // An old frame reads as a roll-over, and only its MIC tells.
    expect(await codeOf(() => device.handleDownlink(down(0xfffe)))).toBe('mic_mismatch')
    expect((await device.handleDownlink(down(0x1fff1))).fCnt).toBe(0x1fff1)
  })

  test('refuses a downlink with any byte changed, and takes it unchanged', async () => {
    const { device, session } = await joined(kind)
    const good = oracleDownlink(session, { fCnt: 1, fPort: 9, payload: 'lock' })
    for (let index = 0; index < good.length; index++) {
      const changed = Buffer.from(good)
      changed[index] = (changed[index] ?? 0) ^ 0x01
      expect(await codeOf(() => device.handleDownlink(changed))).toBeDefined()
    }
    expect(Buffer.from((await device.handleDownlink(good)).payload).toString()).toBe('lock')
  })

  test('refuses an accept with any byte changed, and takes it unchanged', async () => {
    const { device, join } = bench(kind.macVersion)
    const { phyPayload } = await join({ joinNonce: 1, dlSettings: kind.dlSettings })
    for (let index = 0; index < phyPayload.length; index++) {
      const forged = Buffer.from(phyPayload)
      forged[index] = (forged[index] ?? 0) ^ 0x80
      const code = await codeOf(() => device.handleJoinAccept(forged))
      expect(code).toBe(index === 0 ? 'join_accept_malformed' : 'mic_mismatch')
      expect(device.session).toBeUndefined()
    }
    await device.handleJoinAccept(phyPayload)
    expect(device.session).toEqual({ devAddr: '26012e43', optNeg: kind.dlSettings === 0x80 })
  })

  test('takes one accept for one request, and keeps its session when a second is refused', async () => {
    const { device, session, join } = await joined(kind)
    const { phyPayload } = await join({ joinNonce: 2, dlSettings: kind.dlSettings, devAddr: '26012e44' })
    await device.handleJoinAccept(phyPayload)
    expect(await codeOf(() => device.handleJoinAccept(phyPayload))).toBe('no_join_pending')
    expect(device.session?.devAddr).toBe('26012e44')
    expect(oracleReadsUplink(session, await device.uplink(HELLO))).toBeUndefined()
  })

  test('cannot send or receive before it has joined', async () => {
    const { device } = bench(kind.macVersion)
    expect(await codeOf(() => device.uplink(HELLO))).toBe('not_joined')
    expect(await codeOf(() => device.handleDownlink(Buffer.alloc(12)))).toBe('not_joined')
    expect(await codeOf(() => device.handleJoinAccept(Buffer.alloc(17)))).toBe('no_join_pending')
  })
})

describe('JoinNonce', () => {
  const counting = KINDS.filter(({ macVersion }) => macVersion === '1.0.4' || macVersion === '1.1.0')
  const any = KINDS.filter((kind) => !counting.includes(kind))

  async function secondJoin(kind: { macVersion: MacVersion; dlSettings: number }, joinNonce: number): Promise<unknown> {
    const { device, join } = bench(kind.macVersion)
    await device.handleJoinAccept((await join({ joinNonce: 5, dlSettings: kind.dlSettings })).phyPayload)
    const { phyPayload } = await join({ joinNonce, dlSettings: kind.dlSettings })
    return codeOf(() => device.handleJoinAccept(phyPayload))
  }

  test.each(counting)('must rise for a device of $name', async (kind) => {
    expect(await secondJoin(kind, 4)).toBe('join_nonce_stale')
    expect(await secondJoin(kind, 5)).toBe('join_nonce_stale')
    expect(await secondJoin(kind, 6)).toBeUndefined()
    expect(await secondJoin(kind, 0xffffff)).toBeUndefined()
  })

  test.each(any)('may be any for a device of $name', async (kind) => {
    for (const joinNonce of [0, 4, 5, 6]) expect(await secondJoin(kind, joinNonce)).toBeUndefined()
  })

  test('that is stale leaves session and join as they were', async () => {
    const { device, session, join } = await joined({ macVersion: '1.0.4', dlSettings: 0 })
    const stale = await join({ joinNonce: 1 })
    expect(await codeOf(() => device.handleJoinAccept(stale.phyPayload))).toBe('join_nonce_stale')
    expect(oracleReadsUplink(session, await device.uplink(HELLO))).toMatchObject({ payload: 'door open' })
  })

  test('of a forged accept does not count', async () => {
    const { device, join } = bench('1.0.4')
    const forged = (await join({ joinNonce: 0xfffff0 })).phyPayload
    forged[5] = (forged[5] ?? 0) ^ 1
    expect(await codeOf(() => device.handleJoinAccept(forged))).toBe('mic_mismatch')
    const good = await join({ joinNonce: 1 })
    expect(await codeOf(() => device.handleJoinAccept(good.phyPayload))).toBeUndefined()
  })
})

describe('DevNonce', () => {
  test.each(['1.0.4', '1.1.0'] as const)('counts from 0 and goes on after a join, in %s', async (macVersion) => {
    const { device, join } = bench(macVersion)
    expect(devNonceOf(await device.joinRequest())).toBe(0)
    await device.handleJoinAccept((await join({ joinNonce: 1 })).phyPayload)
    expect(devNonceOf(await device.joinRequest())).toBe(2)
  })

  test.each(['1.0.0', '1.0.1', '1.0.2', '1.0.3'] as const)('is random and new each time, in %s', async (macVersion) => {
    const { device } = bench(macVersion)
    const devNonces: number[] = []
    for (let count = 0; count < 200; count++) devNonces.push(devNonceOf(await device.joinRequest()))
    expect(new Set(devNonces).size).toBe(200)
    expect(devNonces).not.toEqual(devNonces.toSorted((a, b) => a - b))
  })

  test.each(['1.0.3', '1.0.4'] as const)('can be used up, in %s', async (macVersion) => {
    const { device } = bench(macVersion)
    for (let count = 0; count < 0x10000; count++) await device.joinRequest()
    expect(await codeOf(() => device.joinRequest())).toBe('dev_nonce_exhausted')
  })

  test('is the one of the last request: in 1.1 an accept for the one before has the wrong MIC', async () => {
    const { device, join } = bench('1.1.0')
    const late = await join({ joinNonce: 1, dlSettings: 0x80 })
    const good = await join({ joinNonce: 2, dlSettings: 0x80 })
    expect(await codeOf(() => device.handleJoinAccept(late.phyPayload))).toBe('mic_mismatch')
    expect(await codeOf(() => device.handleJoinAccept(good.phyPayload))).toBeUndefined()
  })
})

describe('OptNeg', () => {
  test('means nothing to a device of 1.0 (RFU there), whose MIC is that of 1.0', async () => {
    const { device, identity } = bench('1.0.3')
    const devNonce = devNonceOf(await device.joinRequest())
    const clear = Buffer.from('20' + '010000' + '130000' + '432e0126' + '80' + '01', 'hex')
    const mic = Buffer.from(opensslCmac(APP_KEY, clear).slice(0, 8), 'hex')
    await device.handleJoinAccept(sealed(APP_KEY, clear, mic))
    expect(device.session?.optNeg).toBe(false)
    const { session } = oracleJoin(identity, { appKey: APP_KEY }, { devNonce, joinNonce: 1 })
    expect(oracleReadsUplink(session, await device.uplink(HELLO))).toMatchObject({ payload: 'door open' })
  })

  test('cannot be switched off by an attacker: the MIC is of the other form', async () => {
    const { device, join, identity } = bench('1.1.0')
    const devNonce = devNonceOf(await device.joinRequest())
    const downgraded = oracleJoin({ ...identity, macVersion: '1.0.3' }, { appKey: APP_KEY }, { devNonce, joinNonce: 1 })
    expect(await codeOf(() => device.handleJoinAccept(downgraded.phyPayload))).toBe('mic_mismatch')
    const honest = await join({ joinNonce: 1, dlSettings: 0x80 })
    expect(await codeOf(() => device.handleJoinAccept(honest.phyPayload))).toBeUndefined()
  })

  function opensslCmac(key: Buffer, message: Buffer): string {
    const args = ['mac', '-cipher', 'AES-128-CBC', '-macopt', `hexkey:${key.toString('hex')}`, 'CMAC']
    return execFileSync('openssl', args, { input: message, encoding: 'utf8' }).trim().toLowerCase()
  }
})

describe('an uplink', () => {
  test('has a 1.1 MIC over the data rate and the channel that its sender names', async () => {
    const { device, session } = await joined({ macVersion: '1.1.0', dlSettings: 0x80 })
    const frame = await device.uplink({ ...HELLO, txDr: 5, txCh: 7 })
    expect(oracleReadsUplink(session, frame, { txDr: 5, txCh: 7 })).toMatchObject({ payload: 'door open' })
    expect(oracleReadsUplink(session, frame, { txDr: 4, txCh: 7 })).toBeUndefined()
    expect(oracleReadsUplink(session, frame, { txDr: 5, txCh: 6 })).toBeUndefined()
  })

  test('is counted beyond 16 bits', async () => {
    const { device, session } = await joined({ macVersion: '1.0.3', dlSettings: 0 })
    for (let count = 0; count < 0x10000; count++) await device.uplink({ fPort: 1, payload: Buffer.of(1) })
    const frame = await device.uplink(HELLO)
    expect(oracleReadsUplink(session, frame, { fCnt: 0x10000 })).toMatchObject({ fCnt: 0, payload: 'door open' })
    expect(oracleReadsUplink(session, frame, { fCnt: 0 })).toBeUndefined()
  })

  test.each([
    ['FPort 256', { ...HELLO, fPort: 256 }, 'f_port_invalid'],
    ['FPort -1', { ...HELLO, fPort: -1 }, 'f_port_invalid'],
    ['243 bytes', { ...HELLO, payload: Buffer.alloc(243) }, 'frame_size'],
    ['16 bytes of FOpts', { ...HELLO, fOpts: Buffer.alloc(16) }, 'frame_field'],
    ['FOpts beside FPort 0', { ...HELLO, fPort: 0, fOpts: Buffer.alloc(1) }, 'frame_field'],
  ])('with %s is refused', async (_, options, code) => {
    const { device } = await joined({ macVersion: '1.0.3', dlSettings: 0 })
    expect(await codeOf(() => device.uplink(options))).toBe(code)
    expect(await codeOf(() => device.uplink({ ...HELLO, payload: Buffer.alloc(242) }))).toBeUndefined()
  })
})

describe('a downlink', () => {
  test('of another device, or an uplink, is none of this device', async () => {
    const { device, session } = await joined({ macVersion: '1.0.3', dlSettings: 0 })
    const other = oracleDownlink({ ...session, devAddr: '26012e44' }, { fCnt: 0, fPort: 1, payload: 'x' })
    expect(await codeOf(() => device.handleDownlink(other))).toBe('not_for_this_device')
    expect(await codeOf(async () => device.handleDownlink(await device.uplink(HELLO)))).toBe('not_a_downlink')
    expect(await codeOf(() => device.handleDownlink(Buffer.alloc(11)))).toBe('frame_size')
  })

  test('is counted in 1.1 apart by application and network, in 1.0 together', async () => {
    const application = { fCnt: 0, fPort: 1, payload: 'x' }
    const network = { fCnt: 0, fPort: 0, payload: 'y' }
    const device11 = await joined({ macVersion: '1.1.0', dlSettings: 0x80 })
    await device11.device.handleDownlink(oracleDownlink(device11.session, application))
    await device11.device.handleDownlink(oracleDownlink(device11.session, network))
    const device10 = await joined({ macVersion: '1.1.0', dlSettings: 0 })
    await device10.device.handleDownlink(oracleDownlink(device10.session, application))
    const second = () => device10.device.handleDownlink(oracleDownlink(device10.session, network))
    expect(await codeOf(second)).toBe('f_cnt_replayed')
  })

  test('with an ACK is refused in 1.1 when it acknowledges another uplink', async () => {
    const { device, session } = await joined({ macVersion: '1.1.0', dlSettings: 0x80 })
    await device.uplink({ ...HELLO, confirmed: true })
    const ack = (fCnt: number, confFCnt: number) =>
      oracleDownlink(session, { fCnt, fPort: 1, payload: 'x', ack: true, confFCnt })
    expect(await codeOf(() => device.handleDownlink(ack(0, 1)))).toBe('mic_mismatch')
    expect((await device.handleDownlink(ack(0, 0))).acknowledgedFCntUp).toBe(0)
  })
})

test('the oracle itself: JSIntKey as lora-packet makes it is the AES of the block of LoRaWAN 1.1 §6.1.1.4', () => {
  const { JSIntKey } = loraPacket.generateJSKeys(NWK_KEY, Buffer.from('0004a30b001c0530', 'hex'))
  const block = `0630051c000ba30400${'00'.repeat(7)}`
  const args = ['enc', '-aes-128-ecb', '-nopad', '-K', NWK_KEY.toString('hex')]
  expect(JSIntKey).toEqual(execFileSync('openssl', args, { input: Buffer.from(block, 'hex') }))
  expect(bigEndian(2, 0x0102)).toEqual(Buffer.of(1, 2))
})
