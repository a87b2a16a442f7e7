import {
  bytesToHex,
  devEuiFromBytes,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  parseNsId,
  type RejoinType,
} from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Device, NetworkServer, type NetworkServerOptions, SoftSecureElement } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { HOME, NS_KEK, type OracleNetwork, startOracleNetwork } from './network.ts'

const TYPES: readonly RejoinType[] = [0, 1, 2]
const JOIN_EUI = parseJoinEui('70b3d57ed0000abc')
const READING = { fPort: 2, payload: Buffer.from('the front door is open') }

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

async function activated(ns: NetworkServer): Promise<Device> {
  const devEui = devEuiFromBytes(Uint8Array.of(0, 4, 0xa3, 0x0b, 0, 0x1c, 6, ++deviceCount))
  const identity = { devEui, joinEui: JOIN_EUI, macVersion: '1.1.0' } as const
  await secureElement.createDevice(identity)
  network.addDevice(identity, await secureElement.takeRootKeysForProvisioning(devEui))
  const device = new Device(secureElement, identity)
  const activation = await ns.activate(await device.joinRequest(), { macVersion: '1.1.0' })
  await device.handleJoinAccept(activation.phyPayload)
  return device
}

describe('a network server and a device that rejoins', () => {
  test.each(TYPES)('begin a session by type %i, under keys of the join server', async (rejoinType) => {
    for (const mode of ['clear', 'wrapped'] as const) {
      network.answerWith(mode)
      await using ns = networkServer({ keks: new Map([['ns-1', NS_KEK]]) })
      const device = await activated(ns)
      const before = device.session?.devAddr
      ns.receiveUplink(await device.uplink(READING))
      const cfList = Buffer.from('184f84e85684b85e84886684586e8400', 'hex')
      const request = await device.rejoinRequest(rejoinType)
      const activation = await ns.rejoin(request, { rxDelay: 5, cfList })
      expect(network.requests.at(-1)).toMatchObject({
        MessageType: 'RejoinReq',
        MACVersion: '1.1.0',
        ReceiverID: JOIN_EUI,
        PHYPayload: bytesToHex(request),
        DevEUI: device.identity.devEui,
        DLSettings: '80',
        RxDelay: 5,
        CFList: cfList.toString('hex'),
      })
      // The accept may be lost: the session before lives on.
      expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(1)
      expect(await device.handleJoinAccept(activation.phyPayload)).toMatchObject({ rxDelay: 5, optNeg: true })
      expect(device.session?.devAddr).not.toBe(before)
      expect(ns.receiveUplink(await device.uplink({ ...READING, confirmed: true }))).toMatchObject({ fCnt: 0 })
      const { devEui } = device.identity
      expect(await device.handleDownlink(ns.sendDownlink({ devEui }))).toMatchObject({ acknowledgedFCntUp: 0 })
    }
  })

  test('go on rejoining: the next one is of the new session', async () => {
    await using ns = networkServer()
    const device = await activated(ns)
    for (const rejoinType of [0, 2, 1, 2, 0, 1] as const) {
      await device.handleJoinAccept((await ns.rejoin(await device.rejoinRequest(rejoinType))).phyPayload)
      expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(0)
    }
  })

  test.each([0, 2] as const)(
    'of type %i: a forged or replayed request never reaches the join server',
    async (rejoinType) => {
      await using ns = networkServer()
      const device = await activated(ns)
      const good = await device.rejoinRequest(rejoinType)
      const asked = network.requests.length
      for (let index = 0; index < good.length; index++) {
        const changed = Uint8Array.from(good, (byte, at) => (at === index ? byte ^ 0x10 : byte))
        expect(await codeOf(() => ns.rejoin(changed))).toBeDefined()
      }
      const changedMic = Uint8Array.from(good, (byte, at) => (at === good.length - 1 ? byte ^ 1 : byte))
      expect(await codeOf(() => ns.rejoin(changedMic))).toBe('mic_mismatch')
      expect(network.requests).toHaveLength(asked)
      expect(await codeOf(() => ns.rejoin(good))).toBeUndefined()
      expect(await codeOf(() => ns.rejoin(good))).toBe('rj_count_replayed')
      expect(network.requests).toHaveLength(asked + 1)
      expect(await codeOf(async () => ns.rejoin(await device.rejoinRequest(rejoinType)))).toBeUndefined()
    },
  )

  test('of type 1: its MIC is for the join server to check', async () => {
    await using ns = networkServer()
    const device = await activated(ns)
    const forged = Uint8Array.from(await device.rejoinRequest(1), (byte, at) => (at === 23 ? byte ^ 1 : byte))
    network.answerWith('MICFailed')
    await expect(ns.rejoin(forged)).rejects.toMatchObject({ code: 'join_refused', resultCode: 'MICFailed' })
    expect(network.requests.at(-1)).toMatchObject({ PHYPayload: bytesToHex(forged) })
  })

  test('of type 1 may be of another network, of type 0 or 2 not', async () => {
    await using home = networkServer()
    await using visited = networkServer({ netId: parseNetId('000024') })
    const device = await activated(home)
    for (const rejoinType of [0, 2] as const) {
      const request = await device.rejoinRequest(rejoinType)
      expect(await codeOf(() => visited.rejoin(request))).toBe('device_unknown')
    }
    const { phyPayload } = await visited.rejoin(await device.rejoinRequest(1))
    expect(await device.handleJoinAccept(phyPayload)).toMatchObject({ netId: '000024' })
  })

  test('do not take a session of LoRaWAN 1.0', async () => {
    await using ns = networkServer()
    const device = await activated(ns)
    network.answerWith('other-version')
    const request = await device.rejoinRequest(1)
    expect(await codeOf(() => ns.rejoin(request))).toBe('session_keys_unexpected')
    network.answerWith('clear')
    expect(await codeOf(() => ns.rejoin(request))).toBeUndefined()
  })

  test('need a rejoin-request', async () => {
    await using ns = networkServer()
    const device = await activated(ns)
    const joinRequest = await device.joinRequest()
    expect(await codeOf(() => ns.rejoin(joinRequest))).toBe('frame_size')
    expect(await codeOf(() => ns.rejoin(Buffer.alloc(19)))).toBe('frame_type')
  })
})

describe('the home of a device', () => {
  test.each(['1.0', '1.1'] as const)('is asked for in version %s', async (protocolVersion) => {
    await using ns = networkServer({ protocolVersion, nsId: parseNsId('70b3d57ed0001234') })
    const { devEui } = (await activated(ns)).identity
    expect(await ns.homeNs(JOIN_EUI, devEui)).toEqual({
      hNetId: HOME.hNetId,
      hNsId: protocolVersion === '1.1' ? HOME.hNsId : undefined,
    })
    expect(network.requests.at(-1)).toMatchObject({ MessageType: 'HomeNSReq', DevEUI: devEui, ReceiverID: JOIN_EUI })
  })

  test('is not told of a device that is not known, nor to who is refused', async () => {
    await using ns = networkServer()
    const unknown = ns.homeNs(JOIN_EUI, parseDevEui('ffffffffffffffff'))
    await expect(unknown).rejects.toMatchObject({ code: 'home_ns_refused', resultCode: 'UnknownDevEUI' })
    const { devEui } = (await activated(ns)).identity
    network.answerWith('NoRoamingAgreement')
    const refused = ns.homeNs(JOIN_EUI, devEui)
    await expect(refused).rejects.toMatchObject({ code: 'home_ns_refused', resultCode: 'NoRoamingAgreement' })
  })
})
