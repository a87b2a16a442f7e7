import { bytesToHex, devEuiFromBytes, type MacVersion, parseJoinEui, parseNetId, parseNsId } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type ActivationOptions,
  Device,
  type DeviceIdentity,
  NetworkServer,
  type NetworkServerOptions,
  SoftSecureElement,
} from '../src/index.ts'
import { codeOf } from './errors.ts'
import { loraPacket } from './lora-packet.ts'
import { AS_KEK, NS_KEK, type OracleNetwork, startOracleNetwork } from './network.ts'
import type { OracleSession } from './oracle.ts'
import { keysFoundIn } from './search.ts'

const KINDS: { name: string; options: ActivationOptions }[] = [
  { name: '1.0.0', options: { macVersion: '1.0.0' } },
  { name: '1.0.4', options: { macVersion: '1.0.4' } },
  { name: '1.1.0', options: { macVersion: '1.1.0' } },
  { name: '1.1.0 without OptNeg', options: { macVersion: '1.1.0', optNeg: false } },
]

let network: OracleNetwork
const secureElement = new SoftSecureElement()
let deviceCount = 0

beforeAll(async () => {
  network = await startOracleNetwork()
})

afterAll(() => network[Symbol.asyncDispose]())

beforeEach(() => {
  network.answerWith('clear')
})

function networkServer(options: Partial<NetworkServerOptions> = {}): NetworkServer {
  const connect: NetworkServerOptions['connect'] = (onExchange) => network.connect(onExchange)
  return new NetworkServer({ netId: parseNetId('000013'), protocolVersion: '1.0', connect, ...options })
}

async function newDevice(macVersion: MacVersion): Promise<Device> {
  const devEui = devEuiFromBytes(Uint8Array.of(0, 4, 0xa3, 0x0b, 0, 0x1c, 5, ++deviceCount))
  const identity: DeviceIdentity = { devEui, joinEui: parseJoinEui('70b3d57ed0000abc'), macVersion }
  await secureElement.createDevice(identity)
  network.addDevice(identity, await secureElement.takeRootKeysForProvisioning(devEui))
  return new Device(secureElement, identity)
}

async function activated(ns: NetworkServer, options: ActivationOptions) {
  const device = await newDevice(options.macVersion)
  const activation = await ns.activate(await device.joinRequest(), options)
  await device.handleJoinAccept(activation.phyPayload)
  return { device, devEui: device.identity.devEui, activation, session: lastSession() }
}

function lastSession(): OracleSession {
  const session = network.sessions.at(-1)
  if (session === undefined) throw new Error('no session has begun')
  return session
}

const READING = { fPort: 2, payload: Buffer.from('the front door is open') }

/** What the owner does, by lora-packet: FRMPayload crypted under AppSKey. */
function ownerCrypts(session: OracleSession, direction: 'Up' | 'Down', fCnt: number, bytes: Uint8Array): Buffer {
  const fields = {
    MType: `Unconfirmed Data ${direction}`,
    DevAddr: Buffer.from(session.devAddr, 'hex'),
    FCnt: fCnt,
    FPort: 2,
    payload: Buffer.from(bytes),
  }
  return loraPacket.fromFields(fields, session.appSKey, session.appSKey).FRMPayload ?? Buffer.alloc(0)
}

describe.each(KINDS)('a network server and a device of $name', ({ options }) => {
  const is11Session = options.macVersion === '1.1.0' && options.optNeg !== false

  test('join through the join server, and the device has the parameters of the network', async () => {
    await using ns = networkServer()
    const cfList = Buffer.from('184f84e85684b85e84886684586e8400', 'hex')
    const device = await newDevice(options.macVersion)
    const joinRequest = await device.joinRequest()
    const activation = await ns.activate(joinRequest, { ...options, rxDelay: 5, cfList })
    expect(await device.handleJoinAccept(activation.phyPayload)).toMatchObject({
      devAddr: activation.devAddr,
      netId: '000013',
      rxDelay: 5,
      cfList: Uint8Array.from(cfList),
      optNeg: is11Session,
    })
    expect(network.requests.at(-1)).toMatchObject({
      ProtocolVersion: '1.0',
      SenderID: '000013',
      ReceiverID: device.identity.joinEui,
      MACVersion: options.macVersion,
      PHYPayload: bytesToHex(joinRequest),
      DevEUI: device.identity.devEui,
      DevAddr: activation.devAddr,
      DLSettings: is11Session ? '80' : '00',
      RxDelay: 5,
      CFList: cfList.toString('hex'),
    })
    expect(activation.devAddr).toMatch(/^2[67]/)
  })

  test.each(['clear', 'wrapped'] as const)('exchange data under %s network session keys', async (mode) => {
    network.answerWith(mode)
    await using ns = networkServer({ keks: new Map([['ns-1', NS_KEK]]) })
    const { device, devEui, activation, session } = await activated(ns, options)
    const uplink = ns.receiveUplink(await device.uplink({ ...READING, fOpts: Buffer.of(2) }))
    expect(uplink).toMatchObject({ devEui, fPort: 2, fCnt: 0, confirmed: false, ack: false })
    expect(uplink).toMatchObject({ macCommands: Uint8Array.of(2), nextFCntDown: 0 })
    expect(uplink).toMatchObject({ sessionKeyId: activation.sessionKeyId, appSKey: activation.appSKey })
    expect(Buffer.from(uplink.frmPayload).includes('door')).toBe(false)
    expect(ownerCrypts(session, 'Up', 0, uplink.frmPayload).toString()).toBe('the front door is open')

    const frmPayload = ownerCrypts(session, 'Down', uplink.nextFCntDown, Buffer.from('lock'))
    const phyPayload = ns.sendDownlink({ devEui, fPort: 2, fCnt: uplink.nextFCntDown, frmPayload })
    const downlink = await device.handleDownlink(phyPayload)
    expect(Buffer.from(downlink.payload).toString()).toBe('lock')
  })

  test('acknowledge one another', async () => {
    await using ns = networkServer()
    const { device, devEui, session } = await activated(ns, options)
    await device.uplink(READING)
    expect(ns.receiveUplink(await device.uplink({ ...READING, confirmed: true })).confirmed).toBe(true)
    expect(await device.handleDownlink(ns.sendDownlink({ devEui }))).toMatchObject({ acknowledgedFCntUp: 1 })
    expect(await device.handleDownlink(ns.sendDownlink({ devEui }))).toMatchObject({ acknowledgedFCntUp: undefined })

    const { nextFCntDown } = ns.receiveUplink(await device.uplink({ ...READING, confirmed: true }))
    expect(nextFCntDown).toBe(is11Session ? 0 : 2)
    const fCnt = nextFCntDown + 3
    const frmPayload = ownerCrypts(session, 'Down', fCnt, Buffer.from('lock'))
    const confirmed = { devEui, fPort: 2, fCnt, frmPayload, confirmed: true }
    const downlink = await device.handleDownlink(ns.sendDownlink(confirmed))
    expect(downlink).toMatchObject({ confirmed: true, acknowledgedFCntUp: 2 })
    expect(ns.receiveUplink(await device.uplink(READING)).ack).toBe(true)
    expect(ns.receiveUplink(await device.uplink(READING)).ack).toBe(false)
  })

  test('refuse forged and replayed uplinks, and take the good one after them', async () => {
    await using ns = networkServer()
    const { device } = await activated(ns, options)
    const good = await device.uplink(READING)
    for (let index = 0; index < good.length; index++) {
      const changed = Uint8Array.from(good, (byte, at) => (at === index ? byte ^ 0x01 : byte))
      expect(await codeOf(() => ns.receiveUplink(changed))).toBeDefined()
    }
    expect(ns.receiveUplink(good).fCnt).toBe(0)
    expect(await codeOf(() => ns.receiveUplink(good))).toBe('f_cnt_replayed')
    expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(1)
  })

  test('know of the payload what ciphertext tells: no AppSKey, no plaintext, in all that the network saw', async () => {
    network.answerWith('wrapped')
    await using ns = networkServer({ keks: new Map([['ns-1', NS_KEK]]) })
    const { device, session } = await activated(ns, options)
    ns.receiveUplink(await device.uplink(READING))
    const { fNwkSIntKey, nwkSEncKey, appSKey } = session
    const seen = ns.seen.entries.map(({ text }) => text).join('\n')
    expect(ns.seen.dropped).toBe(0)
    expect(keysFoundIn(seen, { appSKey, AS_KEK, reading: READING.payload })).toEqual([])
    // The needle: its own keys are found by the same search, although they came wrapped.
    expect(keysFoundIn(seen, { fNwkSIntKey, nwkSEncKey })).toEqual(['fNwkSIntKey', 'nwkSEncKey'])
    expect(new Set(ns.seen.entries.map(({ kind }) => kind))).toEqual(
      new Set(['frame', 'request', 'answer', 'network-session-key']),
    )
  })
})

describe('an activation', () => {
  test.each(['MICFailed', 'JoinReqFailed', 'ActivationDisallowed'] as const)(
    'refused with %s begins no session',
    async (code) => {
      await using ns = networkServer()
      const device = await newDevice('1.0.3')
      network.answerWith(code)
      const refused = ns.activate(await device.joinRequest(), { macVersion: '1.0.3' })
      await expect(refused).rejects.toMatchObject({ code: 'join_refused', resultCode: code })
      expect(await codeOf(() => ns.sendDownlink({ devEui: device.identity.devEui }))).toBe('device_unknown')
      network.answerWith('clear')
      const accepted = ns.activate(await device.joinRequest(), { macVersion: '1.0.3' })
      expect(await codeOf(() => accepted)).toBeUndefined()
    },
  )

  test.each([
    ['keys of 1.1 for a 1.0 session', 'other-version', { macVersion: '1.0.3' }, 'session_keys_unexpected'],
    ['keys of 1.0 for a 1.1 session', 'other-version', { macVersion: '1.1.0' }, 'session_keys_unexpected'],
    ['keys under a KEK that it has not', 'wrapped', { macVersion: '1.0.3' }, 'kek_label_unknown'],
  ] as const)('does not take %s', async (_, mode, options, code) => {
    await using ns = networkServer()
    const device = await newDevice(options.macVersion)
    network.answerWith(mode)
    const joinRequest = await device.joinRequest()
    expect(await codeOf(() => ns.activate(joinRequest, options))).toBe(code)
    network.answerWith('clear')
    expect(await codeOf(() => ns.activate(joinRequest, options))).toBeUndefined()
  })

  test('does not take keys under another value of its KEK', async () => {
    await using ns = networkServer({ keks: new Map([['ns-1', Buffer.alloc(16)]]) })
    const device = await newDevice('1.0.3')
    network.answerWith('wrapped')
    const joinRequest = await device.joinRequest()
    expect(await codeOf(() => ns.activate(joinRequest, { macVersion: '1.0.3' }))).toBe('integrity_check_failed')
  })

  test('names the network server in Backend Interfaces 1.1, and does not in 1.0', async () => {
    const nsId = parseNsId('70b3d57ed0001234')
    for (const protocolVersion of ['1.0', '1.1'] as const) {
      await using ns = networkServer({ protocolVersion, nsId })
      await activated(ns, { macVersion: '1.0.3' })
      const { ProtocolVersion, SenderNSID } = network.requests.at(-1) ?? {}
      expect([ProtocolVersion, SenderNSID]).toEqual([protocolVersion, protocolVersion === '1.1' ? nsId : undefined])
    }
  })

  test('gives every device a DevAddr of its own, until there are no more', async () => {
    // A NetID of type 7 has 128 DevAddrs.
    await using ns = networkServer({ netId: parseNetId('e00001') })
    const device = await newDevice('1.0.3')
    const addresses = new Set<string>()
    for (let count = 0; count < 128; count++) {
      const other = count === 0 ? device : await newDevice('1.0.3')
      addresses.add((await ns.activate(await other.joinRequest(), { macVersion: '1.0.3' })).devAddr)
    }
    expect(addresses.size).toBe(128)
    const oneMore = await (await newDevice('1.0.3')).joinRequest()
    expect(await codeOf(() => ns.activate(oneMore, { macVersion: '1.0.3' }))).toBe('dev_addr_exhausted')
  })

  test('keeps the session before until the new one is heard', async () => {
    await using ns = networkServer()
    const { device, devEui } = await activated(ns, { macVersion: '1.0.3' })
    ns.receiveUplink(await device.uplink(READING))
    // Two join-accepts are lost on air; the device goes on in its old session, and is acknowledged in it.
    await ns.activate(await device.joinRequest(), { macVersion: '1.0.3' })
    const lost = await ns.activate(await device.joinRequest(), { macVersion: '1.0.3' })
    expect(ns.receiveUplink(await device.uplink({ ...READING, confirmed: true })).fCnt).toBe(1)
    expect((await device.handleDownlink(ns.sendDownlink({ devEui }))).acknowledgedFCntUp).toBe(1)
    const inOldSession = await device.uplink(READING)
    await device.handleJoinAccept(lost.phyPayload)
    expect(ns.receiveUplink(await device.uplink(READING))).toMatchObject({ devEui, fCnt: 0 })
    expect(await codeOf(() => ns.receiveUplink(inOldSession))).toBe('dev_addr_unknown')
  })

  test('needs a join-request', async () => {
    await using ns = networkServer()
    expect(await codeOf(() => ns.activate(Buffer.alloc(22), { macVersion: '1.0.3' }))).toBe('frame_size')
    expect(await codeOf(() => ns.activate(Buffer.alloc(23, 0x40), { macVersion: '1.0.3' }))).toBe('frame_type')
  })
})

describe('an uplink', () => {
  test('of 1.1 is verified with the data rate and the channel of its reception', async () => {
    await using ns = networkServer()
    const { device } = await activated(ns, { macVersion: '1.1.0' })
    const frame = await device.uplink({ ...READING, txDr: 5, txCh: 7 })
    expect(await codeOf(() => ns.receiveUplink(frame, { txDr: 5, txCh: 6 }))).toBe('mic_mismatch')
    expect(ns.receiveUplink(frame, { txDr: 5, txCh: 7 }).fCnt).toBe(0)
  })

  test('is counted beyond 16 bits, also when many are lost', async () => {
    await using ns = networkServer()
    const { device } = await activated(ns, { macVersion: '1.0.3' })
    for (let fCnt = 0; fCnt < 0x10004; fCnt++) {
      const frame = await device.uplink({ fPort: 1, payload: Buffer.of(1) })
      if (fCnt % 0x4001 === 0 || fCnt > 0xfffc) expect(ns.receiveUplink(frame).fCnt).toBe(fCnt)
    }
  })

  test('that is none is refused', async () => {
    await using ns = networkServer()
    const { device, devEui } = await activated(ns, { macVersion: '1.0.3' })
    const downlink = ns.sendDownlink({ devEui })
    expect(await codeOf(() => ns.receiveUplink(downlink))).toBe('not_an_uplink')
    expect(await codeOf(() => ns.receiveUplink(Buffer.alloc(5)))).toBe('frame_size')
    expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(0)
  })

  test('of FPort 0 is for the network, which reads it', async () => {
    await using ns = networkServer()
    for (const options of KINDS.map((kind) => kind.options)) {
      const { device } = await activated(ns, options)
      const uplink = ns.receiveUplink(await device.uplink({ fPort: 0, payload: Buffer.from('0307', 'hex') }))
      expect(uplink).toMatchObject({ fPort: 0, macCommands: Uint8Array.of(3, 7) })
    }
  })
})

describe('a downlink', () => {
  const frmPayload = Buffer.from('ciphertext')

  test.each([
    ['FPort 0', { fPort: 0, fCnt: 5, frmPayload }, 'f_port_invalid'],
    ['no FPort', { fCnt: 5, frmPayload }, 'f_port_invalid'],
    ['no FCnt', { fPort: 1, frmPayload }, 'f_port_invalid'],
    ['a used FCnt', { fPort: 1, fCnt: 4, frmPayload }, 'f_cnt_down_used'],
    ['an FCnt of 33 bits', { fPort: 1, fCnt: 2 ** 32, frmPayload }, 'f_cnt_down_used'],
  ])('with %s is refused', async (_, downlink, code) => {
    await using ns = networkServer()
    const { devEui } = await activated(ns, { macVersion: '1.0.3' })
    ns.sendDownlink({ devEui, fPort: 1, fCnt: 4, frmPayload })
    expect(await codeOf(() => ns.sendDownlink({ devEui, ...downlink }))).toBe(code)
    expect(await codeOf(() => ns.sendDownlink({ devEui, fPort: 1, fCnt: 5, frmPayload }))).toBeUndefined()
  })
})
