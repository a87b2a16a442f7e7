import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bytesToHex,
  decodeRejoinRequest,
  hexToBytes,
  parseDevEui,
  parseJoinEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import { SoftSecureElement } from '@mortise/simulator'
import { BACKENDS } from '../support/installation.ts'
import { expectHeader, expectSessionKeyId, type KekRing, keyNamesOf, type ReceivedAnswer } from './answers.ts'
import { type CaseDevice, type CaseKek, CaseServer, type PeerName } from './case-server.ts'
import { expectElementAgrees } from './device-agrees.ts'
import { kekOf, requestOf } from './join-req-case.ts'
import { type PublishedCase, type PublishedRequest, sentRejoinReqCases } from './published-cases.ts'

/**
 * RejoinReq of types 0 and 2 as a network server sends them. Of the device only the session key is published that their
 * MIC is made with, and that is the network's to check: so a device with root keys of its own joins first, and judges
 * the answer.
 */
const CASES = sentRejoinReqCases().toSorted(
  (a, b) => Number(nsLabelOf(a) !== undefined) - Number(nsLabelOf(b) !== undefined),
)
const NETWORK: PeerName = { kind: 'ns', id: '030201' }
const AS_LABEL = 'lora-app-server'
const AS_KEK: CaseKek = { kind: 'as', id: 'conformance', label: AS_LABEL, key: kekOf(null, AS_LABEL) }
const START_TIMEOUT_MS = 120_000

test('there are cases of both types, with KEK and without', () => {
  expect(CASES.map(({ request }) => rejoinTypeOf(request as PublishedRequest))).toEqual([0, 2, 0, 2])
  expect(CASES.map(nsLabelOf)).toEqual([undefined, undefined, '010203', '010203'])
})

describe.each(BACKENDS)('RejoinReq as a network server sends them, on %s', (backend) => {
  const cleanup = new AsyncDisposableStack()
  const ring = new Map([[AS_KEK.label, AS_KEK.key]])
  let server: CaseServer

  beforeAll(async () => {
    server = cleanup.use(await CaseServer.start(backend, [NETWORK]))
    await server.enrol([], [AS_KEK])
  }, START_TIMEOUT_MS)
  afterAll(() => cleanup.disposeAsync())

  test.each(CASES.map((one) => [one.id, one] as const))('%s', async (_id, published) => {
    const request = requestOf(published)
    const device = deviceOf(request)
    await using element = new SoftSecureElement()
    element.loadDevice(device, device.rootKeys)
    await server.enrol([device], newKeksOf(published, ring))
    const { devEui } = device

    const joinRequest = await element.signJoinRequest(devEui, 0)
    const joined = await ask({ ...request, MessageType: 'JoinReq', PHYPayload: bytesToHex(joinRequest) })
    const { joinNonce } = await expectElementAgrees(element, devEui, joined, ring)

    const frame = decodeRejoinRequest(hexToBytes(String(request['PHYPayload'])))
    await element.signRejoinRequest(devEui, frame)
    const answer = await ask(request)
    expectHeader(answer, request, published.expected)
    expectSessionKeyId(answer)
    expect(keyNamesOf(answer)).toEqual(keyNamesOf(published.expected))
    for (const name of keyNamesOf(answer))
      expect([name, answer[name]?.KEKLabel]).toEqual([name, name === 'AppSKey' ? AS_LABEL : nsLabelOf(published)])
    expect(await expectElementAgrees(element, devEui, answer, ring)).toEqual({ joinNonce: joinNonce + 1 })
  })

  async function ask(request: PublishedRequest): Promise<ReceivedAnswer> {
    const { status, text } = await server.post(NETWORK, JSON.stringify(request))
    expect(status).toBe(200)
    const answer = JSON.parse(text) as ReceivedAnswer
    expect(answer.Result).toEqual({ ResultCode: 'Success' })
    return answer
  }
})

/** The network's KEK, where a case is the first to have it: it is in the ring then. */
function newKeksOf(published: PublishedCase, ring: KekRing & Map<string, Buffer>): CaseKek[] {
  const label = nsLabelOf(published)
  if (label === undefined || ring.has(label)) return []
  const key = kekOf(published.device, label)
  ring.set(label, key)
  return [{ ...NETWORK, label, key: Buffer.from(key) }]
}

function nsLabelOf({ expected }: PublishedCase): string | undefined {
  return expected.SNwkSIntKey?.KEKLabel
}

function rejoinTypeOf(request: PublishedRequest): number {
  return decodeRejoinRequest(hexToBytes(String(request['PHYPayload']))).rejoinType
}

function deviceOf(request: PublishedRequest): CaseDevice {
  return {
    devEui: parseDevEui(String(request['DevEUI'])),
    joinEui: parseJoinEui(String(request['ReceiverID'])),
    macVersion: parseMacVersion(String(request['MACVersion'])),
    rootKeys: { appKey: randomBytes(16), nwkKey: randomBytes(16) },
    applicationServers: [AS_KEK.id],
    networks: [parseNetId(NETWORK.id)],
  }
}
