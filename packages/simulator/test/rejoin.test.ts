import { type MacVersion, parseDevEui, parseJoinEui, parseNetId, type RejoinType } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import {
  Device,
  type DeviceIdentity,
  type RootKeys,
  type SecureElement,
  SecureElementProcess,
  SoftSecureElement,
} from '../src/index.ts'
import { RejoinCounters } from '../src/rejoin-counters.ts'
import { codeOf } from './errors.ts'
import { loraPacket } from './lora-packet.ts'
import { type OracleSession, oracleJoin, oracleReadsUplink, sealed } from './oracle.ts'

const TYPES: readonly RejoinType[] = [0, 1, 2]
const DEV_EUI = parseDevEui('0004a30b001c0530')
const JOIN_EUI = parseJoinEui('70b3d57ed0000abc')
const HELLO = { fPort: 2, payload: Buffer.from('door open') }

interface Bench {
  readonly device: Device
  readonly identity: DeviceIdentity
  readonly rootKeys: RootKeys
  session: OracleSession
}

/** A device that has joined, OptNeg set unless told otherwise. */
async function joined(
  secureElement: SecureElement,
  macVersion: MacVersion = '1.1.0',
  dlSettings = 0x80,
): Promise<Bench> {
  const identity = { devEui: DEV_EUI, joinEui: JOIN_EUI, macVersion }
  await secureElement.createDevice(identity)
  const rootKeys = await secureElement.takeRootKeysForProvisioning(DEV_EUI)
  const device = new Device(secureElement, identity)
  const devNonce = Buffer.from(await device.joinRequest()).readUInt16LE(17)
  const { phyPayload, session } = oracleJoin(identity, rootKeys, { devNonce, joinNonce: 1, dlSettings })
  await device.handleJoinAccept(phyPayload)
  return { device, identity, rootKeys, session }
}

/** RJcount as lora-packet reads it. */
function countOf(phyPayload: Uint8Array): number {
  return Buffer.from(phyPayload).readUInt16LE(phyPayload.length - 6)
}

function answerTo(bench: Bench, phyPayload: Uint8Array, joinNonce: number, changes: { joinReqType?: number } = {}) {
  const rejoin = { joinReqType: phyPayload[1] ?? 0, devNonce: countOf(phyPayload), joinNonce, dlSettings: 0x80 }
  return oracleJoin(bench.identity, bench.rootKeys, { ...rejoin, devAddr: '26012e44', ...changes })
}

/** By lora-packet: SNwkSIntKey for types 0 and 2, JSIntKey for type 1. */
function micIsRight({ session, rootKeys }: Bench, phyPayload: Uint8Array): boolean {
  const { JSIntKey } = loraPacket.generateJSKeys(Buffer.from(rootKeys.nwkKey ?? []), Buffer.from(DEV_EUI, 'hex'))
  const packet = loraPacket.fromWire(Buffer.from(phyPayload))
  const mic =
    phyPayload[1] === 1
      ? loraPacket.calculateMIC(packet, undefined, JSIntKey)
      : loraPacket.calculateMIC(packet, session.sNwkSIntKey)
  return mic.equals(Buffer.from(phyPayload).subarray(-4))
}

describe.each([
  ['in the own process', () => new SoftSecureElement()],
  ['as a process', () => new SecureElementProcess()],
])('a device with its secure element %s', (_, create) => {
  test.each(TYPES)('rejoins by type %i: lora-packet verifies the request and the new session', async (rejoinType) => {
    await using secureElement = create()
    const bench = await joined(secureElement)
    const request = await bench.device.rejoinRequest(rejoinType)
    const packet = loraPacket.fromWire(Buffer.from(request))
    expect([packet.RejoinType?.[0], packet.DevEUI?.toString('hex')]).toEqual([rejoinType, DEV_EUI])
    if (rejoinType === 1) expect(packet.JoinEUI.toString('hex')).toBe(JOIN_EUI)
    else expect(packet.NetID?.toString('hex')).toBe('000013')
    expect(micIsRight(bench, request)).toBe(true)

    // Until the answer comes, the session goes on.
    expect(oracleReadsUplink(bench.session, await bench.device.uplink(HELLO))).toMatchObject({ payload: 'door open' })
    const { phyPayload, session } = answerTo(bench, request, 2)
    expect(await bench.device.handleJoinAccept(phyPayload)).toMatchObject({ devAddr: '26012e44', optNeg: true })
    expect(oracleReadsUplink(session, await bench.device.uplink(HELLO))).toMatchObject({
      payload: 'door open',
      fCnt: 0,
    })
    expect(await codeOf(() => bench.device.handleJoinAccept(phyPayload))).toBe('no_join_pending')
  })

  test('has no rejoin before it joined, nor in a session of LoRaWAN 1.0', async () => {
    for (const rejoinType of TYPES) {
      await using secureElement = create()
      const { device } = await joined(secureElement, '1.1.0', 0x00)
      expect(await codeOf(() => device.rejoinRequest(rejoinType))).toBe('not_in_this_session')
      const unjoined = new Device(secureElement, device.identity)
      expect(await codeOf(() => unjoined.rejoinRequest(rejoinType))).toBe('not_joined')
      await using other = create()
      const bench = await joined(other, '1.0.4', 0x00)
      expect(await codeOf(() => bench.device.rejoinRequest(rejoinType))).toBe('not_in_this_session')
    }
  })

  test('is refused a rejoin of a device that has no session', async () => {
    await using secureElement = create()
    const rejoin = { rejoinType: 1, rjCount1: 0 } as const
    expect(await codeOf(() => secureElement.signRejoinRequest(DEV_EUI, rejoin))).toBe('device_unknown')
    await secureElement.createDevice({ devEui: DEV_EUI, joinEui: JOIN_EUI, macVersion: '1.1.0' })
    expect(await codeOf(() => secureElement.signRejoinRequest(DEV_EUI, rejoin))).toBe('no_session')
  })
})

describe('RJcount (LoRaWAN 1.1 §6.2.4)', () => {
  test('0 is shared by types 0 and 2 and begins anew with a join-accept; 1 goes on', async () => {
    const bench = await joined(new SoftSecureElement())
    const { device } = bench
    const counts = async (types: readonly RejoinType[]) => {
      const seen: number[] = []
      for (const rejoinType of types) seen.push(countOf(await device.rejoinRequest(rejoinType)))
      return seen
    }
    expect(await counts([0, 2, 1, 0, 1])).toEqual([0, 1, 0, 2, 1])
    const { phyPayload } = answerTo(bench, await device.rejoinRequest(0), 2)
    await device.handleJoinAccept(phyPayload)
    expect(await counts([2, 1, 0])).toEqual([0, 2, 1])
    const devNonce = Buffer.from(await device.joinRequest()).readUInt16LE(17)
    const join = oracleJoin(bench.identity, bench.rootKeys, { devNonce, joinNonce: 3, dlSettings: 0x80 })
    await device.handleJoinAccept(join.phyPayload)
    expect(await counts([0, 1])).toEqual([0, 3])
  })

  test('does not begin anew with an accept that is refused', async () => {
    const bench = await joined(new SoftSecureElement())
    const request = await bench.device.rejoinRequest(0)
    const forged = answerTo(bench, request, 2, { joinReqType: 2 }).phyPayload
    expect(await codeOf(() => bench.device.handleJoinAccept(forged))).toBe('mic_mismatch')
    expect(countOf(await bench.device.rejoinRequest(2))).toBe(1)
  })

  test.each(TYPES)('of type %i does not wrap around', async (rejoinType) => {
    const counters = new RejoinCounters()
    for (let count = 0; count <= 0xffff; count++) expect(counters.next(rejoinType)).toBe(count)
    for (let tries = 0; tries < 2; tries++) {
      expect(await codeOf(() => counters.next(rejoinType))).toBe('rj_count_exhausted')
    }
    counters.activated()
    expect(await codeOf(() => counters.next(rejoinType))).toBe(rejoinType === 1 ? 'rj_count_exhausted' : undefined)
    expect(counters.next(rejoinType === 1 ? 0 : 1)).toBe(0)
  })
})

describe('the join-accept that answers a rejoin-request', () => {
  test.each(TYPES)('of type %i is refused with any bit changed, and taken unchanged', async (rejoinType) => {
    const bench = await joined(new SoftSecureElement())
    const { phyPayload } = answerTo(bench, await bench.device.rejoinRequest(rejoinType), 2)
    for (let index = 0; index < phyPayload.length; index++) {
      const forged = Buffer.from(phyPayload)
      forged[index] = (forged[index] ?? 0) ^ 0x80
      const code = index === 0 ? 'join_accept_malformed' : 'mic_mismatch'
      expect(await codeOf(() => bench.device.handleJoinAccept(forged))).toBe(code)
    }
    expect(bench.device.session?.devAddr).toBe('26012e43')
    expect(oracleReadsUplink(bench.session, await bench.device.uplink(HELLO))).toBeDefined()
    await bench.device.handleJoinAccept(phyPayload)
    expect(bench.device.session?.devAddr).toBe('26012e44')
  })

  test.each(TYPES)('of type %i does not answer another type, a join, or another RJcount', async (rejoinType) => {
    const bench = await joined(new SoftSecureElement())
    const earlier = answerTo(bench, await bench.device.rejoinRequest(rejoinType), 2).phyPayload
    const request = await bench.device.rejoinRequest(rejoinType)
    for (const joinReqType of [0, 1, 2, 0xff].filter((type) => type !== rejoinType)) {
      const other = answerTo(bench, request, 2, { joinReqType }).phyPayload
      expect(await codeOf(() => bench.device.handleJoinAccept(other))).toBeDefined()
    }
    expect(await codeOf(() => bench.device.handleJoinAccept(earlier))).toBe('mic_mismatch')
    expect(bench.device.session?.devAddr).toBe('26012e43')
    expect(await codeOf(() => bench.device.handleJoinAccept(answerTo(bench, request, 2).phyPayload))).toBeUndefined()
  })

  test('has OptNeg: one without is refused, although its MIC is right', async () => {
    const bench = await joined(new SoftSecureElement())
    const request = await bench.device.rejoinRequest(0)
    const { JSIntKey, JSEncKey } = loraPacket.generateJSKeys(
      Buffer.from(bench.rootKeys.nwkKey ?? []),
      Buffer.from(DEV_EUI, 'hex'),
    )
    const accept = (dlSettings: number) => {
      const clear = Buffer.from(`20020000130000442e0126${dlSettings.toString(16).padStart(2, '0')}01`, 'hex')
      const packet = loraPacket.fromWire(Buffer.concat([clear, Buffer.alloc(4)]))
      // lora-packet takes the form of 1.1 from OptNeg; the MIC covers what is in MACPayload.
      packet.DLSettings = Buffer.of(0x80)
      packet.JoinReqType = Buffer.of(0)
      packet.JoinEUI = Buffer.from(JOIN_EUI, 'hex')
      packet.DevNonce = Buffer.from([0, countOf(request)])
      return sealed(JSEncKey, clear, loraPacket.calculateMIC(packet, JSIntKey))
    }
    expect(await codeOf(() => bench.device.handleJoinAccept(accept(0x00)))).toBe('join_accept_malformed')
    expect(await codeOf(() => bench.device.handleJoinAccept(accept(0x80)))).toBeUndefined()
  })

  test('has a JoinNonce above the last', async () => {
    const bench = await joined(new SoftSecureElement())
    const request = await bench.device.rejoinRequest(0)
    const stale = answerTo(bench, request, 1).phyPayload
    expect(await codeOf(() => bench.device.handleJoinAccept(stale))).toBe('join_nonce_stale')
    expect(await codeOf(() => bench.device.handleJoinAccept(answerTo(bench, request, 2).phyPayload))).toBeUndefined()
  })

  // Frames of brocaar/lorawan, backend/joinserver/joinserver_test.go. Its session keys are not those of LoRaWAN 1.1
  // (brocaar/chirpstack-application-server#288), so the session is compared with lora-packet's.
  test.each([
    [0, undefined, '20df04b2ac9d57d1124724b5c24811a12ffe23eaedcb43a97d9a05d08df66c3dc5'],
    [
      1,
      'c001010203040506070808070605040302017b009ebd4b8b',
      '20df04b2ac9d57d1124724b5c24811a12f93423bbb4ca1f432ce8d67f097ce5f0c',
    ],
    [2, undefined, '20296bc45da4b01356e5453109a10f9ab3'],
  ] as const)('of type %i is the published one', async (rejoinType, published, answer) => {
    const identity = {
      devEui: parseDevEui('0102030405060708'),
      joinEui: parseJoinEui('0807060504030201'),
      macVersion: '1.1.0',
    } as const
    const rootKeys = { appKey: Buffer.alloc(16), nwkKey: Buffer.from('01020304050607080102030405060708', 'hex') }
    const secureElement = new SoftSecureElement()
    secureElement.loadDevice(identity, rootKeys)
    await secureElement.signJoinRequest(identity.devEui, 0)
    const join = oracleJoin(identity, rootKeys, { devNonce: 0, joinNonce: 1, dlSettings: 0x80 })
    await secureElement.processJoinAccept(identity.devEui, join.phyPayload)
    const rejoin =
      rejoinType === 1 ? { rejoinType, rjCount1: 123 } : { rejoinType, netId: parseNetId('010203'), rjCount0: 123 }
    const request = await secureElement.signRejoinRequest(identity.devEui, rejoin)
    if (published !== undefined) expect(Buffer.from(request).toString('hex')).toBe(published)
    const accept = await secureElement.processJoinAccept(identity.devEui, Buffer.from(answer, 'hex'))
    expect(accept).toMatchObject({ joinNonce: 65536, netId: '010203', devAddr: '01020304', dlSettings: 0x95 })

    const keys = loraPacket.generateSessionKeys11(
      rootKeys.appKey,
      rootKeys.nwkKey,
      Buffer.from(identity.joinEui, 'hex'),
      Buffer.from('010000', 'hex'),
      Buffer.from('007b', 'hex'),
    )
    const session = {
      ...{ optNeg: true, devAddr: '01020304', appSKey: keys.AppSKey, fNwkSIntKey: keys.FNwkSIntKey },
      ...{ sNwkSIntKey: keys.SNwkSIntKey, nwkSEncKey: keys.NwkSEncKey },
    }
    const again = await secureElement.signRejoinRequest(identity.devEui, {
      rejoinType: 0,
      netId: parseNetId('010203'),
      rjCount0: 0,
    })
    const packet = loraPacket.fromWire(Buffer.from(again))
    expect(loraPacket.calculateMIC(packet, session.sNwkSIntKey).toString('hex')).toBe(
      Buffer.from(again).subarray(-4).toString('hex'),
    )
    const crypted = await secureElement.cryptFrmPayload(identity.devEui, {
      direction: 'up',
      fPort: 1,
      fCnt: 0,
      payload: Buffer.alloc(16),
    })
    const fields = {
      MType: 'Unconfirmed Data Up',
      DevAddr: Buffer.from('01020304', 'hex'),
      FCnt: 0,
      FPort: 1,
      payload: Buffer.alloc(16),
    }
    expect(Buffer.from(crypted)).toEqual(loraPacket.fromFields(fields, session.appSKey, session.appSKey).FRMPayload)
  })
})
