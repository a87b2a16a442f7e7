import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hexToBytes, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { BACKENDS } from '../support/installation.ts'
import { expectHeader, expectSessionKeyId, openKey, type ReceivedAnswer } from './answers.ts'
import { type CaseDevice, type CaseKek, CaseServer } from './case-server.ts'
import { NonceSeeder } from './nonces.ts'
import { type PublishedRequest, type RejoinReqCase, rejoinReqCases } from './published-cases.ts'

/**
 * Every RejoinReq case against a running server, on every back end. The implementation that they come from derives with
 * the keys and blocks of LoRaWAN 1.0, so that what counts is what the specification demands (`specExpected`).
 */
const CASES = rejoinReqCases()
const NETWORK = { kind: 'ns', id: '010203' } as const
const AS_KEK: CaseKek = { kind: 'as', id: 'conformance', label: 'conformance', key: Buffer.alloc(32, 0x5a) }
const RING = new Map([[AS_KEK.label, AS_KEK.key]])
const SESSION_KEYS = ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey', 'AppSKey'] as const
const START_TIMEOUT_MS = 120_000

test('there are cases of every type', () => {
  expect(CASES.map(({ id }) => id)).toHaveLength(4)
  expect(CASES.filter(({ specExpected }) => specExpected.PHYPayload !== undefined)).toHaveLength(3)
})

describe.each(BACKENDS)('RejoinReq cases on %s', (backend) => {
  const cleanup = new AsyncDisposableStack()
  let server: CaseServer
  let nonces: NonceSeeder

  beforeAll(async () => {
    server = cleanup.use(await CaseServer.start(backend, [NETWORK]))
    nonces = cleanup.use(new NonceSeeder(server.database))
    await server.enrol([], [AS_KEK])
  }, START_TIMEOUT_MS)
  afterAll(() => cleanup.disposeAsync())

  test.each(CASES.map((one) => [one.id, one] as const))('%s', async (_id, published) => {
    const device = deviceOf(published)
    await server.enrol([device], [])
    nonces.seed(device, { lastJoinNonce: published.device?.LastJoinNonce ?? 0, usedDevNonces: [0] })
    const before = nonces.read(device)
    const request = published.request as PublishedRequest
    const { status, text } = await server.post(NETWORK, JSON.stringify(request))
    expect(status).toBe(200)
    const answer = JSON.parse(text) as ReceivedAnswer
    const { specExpected: expected } = published
    if (expected.PHYPayload === undefined) {
      expect(answer.Result.ResultCode).toBe('MalformedRequest')
      expect(nonces.read(device)).toEqual(before)
      return
    }
    expect(answer.Result.ResultCode).toBe('Success')
    expectHeader(answer, request, expected)
    expectSessionKeyId(answer)
    expect(answer.PHYPayload?.toLowerCase()).toBe(expected.PHYPayload.toLowerCase())
    for (const name of SESSION_KEYS)
      expect([name, openKey(answer[name]!, RING)]).toEqual([name, expected[name]!.AESKey])
    expect(nonces.read(device).lastJoinNonce).toBe(before.lastJoinNonce + 1)
  })
})

function deviceOf({ device }: RejoinReqCase): CaseDevice {
  if (device === null) throw new Error('a rejoin is of a device')
  return {
    devEui: parseDevEui(device.DevEUI),
    joinEui: parseJoinEui(device.JoinEUI),
    macVersion: '1.1.0',
    rootKeys: { appKey: hexToBytes(device.AppKey ?? ''), nwkKey: hexToBytes(device.NwkKey ?? '') },
    applicationServers: [AS_KEK.id],
    networks: [parseNetId(NETWORK.id)],
  }
}
