import { randomBytes } from 'node:crypto'
import { parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BACKENDS } from '../support/installation.ts'
import { expectHeader, type ReceivedAnswer } from './answers.ts'
import { type CaseDevice, CaseServer, type PeerName } from './case-server.ts'
import { homeNsReqCases, type PublishedCase, type PublishedRequest } from './published-cases.ts'

/** Every HomeNSReq case against a running server, where the one who asks has a roaming agreement for all devices. */
const CASES = homeNsReqCases()
const START_TIMEOUT_MS = 120_000
const STRANGER: PeerName = { kind: 'ns', id: '600001' }

const EXCLUDED: Readonly<Record<string, string>> = {
  'tts-homenet-registry-error': "a failure inside that implementation's registry, which no message brings about",
}

/** Cases with another result than published. */
const ANSWERED_OTHERWISE: Readonly<Record<string, { readonly result: string; readonly reason: string }>> = {
  'cas-homensreq-known-no-netid': {
    result: 'ActivationDisallowed',
    reason: 'a device without a home has none, as The Things Stack says it: 000000 is a network of its own',
  },
}

/** A case whose device and home stand in its answer alone. */
const HOME_OF_THE_ANSWER = 'tts-server-packetbroker-homens'

const PLAYED = CASES.filter(({ id }) => EXCLUDED[id] === undefined)
const HOMES = homesOf(PLAYED)

test('every case is played or excluded, and no table names another', () => {
  const ids = CASES.map(({ id }) => id)
  expect(ids).toHaveLength(11)
  expect([...Object.keys(EXCLUDED), ...Object.keys(ANSWERED_OTHERWISE)].filter((id) => !ids.includes(id))).toEqual([])
  expect(PLAYED.filter((one) => resultOf(one) === 'Success').length).toBeGreaterThan(5)
})

describe.each(BACKENDS)('HomeNSReq cases on %s', (backend) => {
  const cleanup = new AsyncDisposableStack()
  let server: CaseServer

  beforeAll(async () => {
    const askers = [...new Set(PLAYED.map(senderOf))].map((id) => HOMES.get(id) ?? ({ kind: 'ns', id } as const))
    const others = [...HOMES.values()].filter(({ id }) => !askers.some((asker) => asker.id === id))
    server = cleanup.use(await CaseServer.start(backend, [...askers, ...others, STRANGER]))
    for (const asker of askers) await server.agree(asker)
  }, START_TIMEOUT_MS)
  afterAll(() => cleanup.disposeAsync())

  test.each(PLAYED.map((one) => [one.id, one] as const))('%s', async (_id, one) => {
    await server.enrol(devicesOf(one), [])
    const request = one.request as PublishedRequest
    const answer = await ask({ kind: 'ns', id: senderOf(one) }, request)
    expectHeader(answer, request, {})
    expect(answer.Result.ResultCode).toBe(resultOf(one))
    const { HNetID, HNSID, ReceiverNSID } = resultOf(one) === 'Success' ? one.expected : ({} as typeof one.expected)
    expect(lowerCase(answer)).toMatchObject(lowerCase({ HNetID, HNSID, ReceiverNSID }))
    const stranger = await ask(STRANGER, { ...request, SenderID: STRANGER.id })
    expect([stranger.Result.ResultCode, stranger.HNetID]).toEqual(['NoRoamingAgreement', undefined])
  })

  async function ask(caller: PeerName, request: PublishedRequest): Promise<HomeNsAnswer> {
    const { status, text } = await server.post(caller, JSON.stringify(request))
    expect(status).toBe(200)
    return JSON.parse(text) as HomeNsAnswer
  }
})

interface HomeNsAnswer extends ReceivedAnswer {
  readonly HNetID?: string
}

function resultOf({ id, expected }: PublishedCase): string {
  return ANSWERED_OTHERWISE[id]?.result ?? expected.Result?.ResultCode ?? ''
}

function senderOf({ request }: PublishedCase): string {
  return String((request as PublishedRequest)['SenderID']).toLowerCase()
}

/** The home of the device, with its NSID; undefined where there is none. */
function homeOf({ id, device, expected }: PublishedCase): PeerName | undefined {
  const netId = id === HOME_OF_THE_ANSWER ? expected.HNetID : device?.NetID
  if (netId === undefined || netId === null) return undefined
  return {
    kind: 'ns',
    id: netId.toLowerCase(),
    ...(expected.HNSID !== undefined && { nsId: expected.HNSID.toLowerCase() }),
  }
}

/** Homes by NetID; the NSID is said in only one of the cases of a home. */
function homesOf(cases: readonly PublishedCase[]): Map<string, PeerName> {
  const homes = cases.map(homeOf).filter((home) => home !== undefined)
  const named = homes.toSorted((a, b) => Number(a.nsId !== undefined) - Number(b.nsId !== undefined))
  return new Map(named.map((home) => [home.id, home]))
}

/** None where the device is unknown. */
function devicesOf(one: PublishedCase): CaseDevice[] {
  const home = homeOf(one)
  if (home === undefined && one.device === null) return []
  const request = one.request as PublishedRequest
  return [
    {
      devEui: parseDevEui(String(request['DevEUI'])),
      joinEui: parseJoinEui(String(request['ReceiverID'])),
      macVersion: '1.0.3',
      rootKeys: { appKey: randomBytes(16) },
      applicationServers: [],
      networks: home === undefined ? [] : [parseNetId(home.id)],
    },
  ]
}

/** Members of an answer that are there, in one case of hex. */
function lowerCase(members: object): Record<string, unknown> {
  const present = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    present.map(([name, value]) => [name, typeof value === 'string' ? value.toLowerCase() : value]),
  )
}
