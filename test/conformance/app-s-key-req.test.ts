import { createHash, randomBytes } from 'node:crypto'
import { bytesToHex, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { SoftSecureElement } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SESSIONS_KEPT } from '../../packages/server/src/storage/index.ts'
import { BACKENDS } from '../support/installation.ts'
import { expectHeader, expectSessionKeyId, type KekRing, openKey, type ReceivedAnswer } from './answers.ts'
import { type CaseDevice, CaseServer, type PeerName } from './case-server.ts'
import { appSKeyReqCases, type PublishedCase, type PublishedRequest } from './published-cases.ts'

/**
 * Every AppSKeyReq case against a running server: its situation is played with a device that has really joined, because
 * the keys of the cases are dummies and no session key comes in from outside.
 */
const CASES = appSKeyReqCases()
const START_TIMEOUT_MS = 120_000
const NETWORK: PeerName = { kind: 'ns', id: '000013' }
/** An application server that no device names. */
const STRANGER: PeerName = { kind: 'as', id: 'other.hostname.local' }

type Situation =
  /** An application server of the device asks for the session of its join. */
  | 'session'
  | 'unknown device'
  /** The device has joined, and had no such session. */
  | 'unknown session'
  /** So many joins ago that its session is not kept any more. */
  | 'stale session'
  | 'never joined'
  /** Not one of the device's, under its own name; and under the name of one that is. */
  | 'stranger'
  | 'not JSON'

const SITUATION: Readonly<Record<string, Situation>> = {
  'tts-appskey-registry-not-found': 'unknown session',
  'tts-appskey-missing-appskey': 'never joined',
  'tts-appskey-address-not-authorized': 'stranger',
  'tts-appskey-ok-cluster': 'session',
  'tts-appskey-ok-interop-address': 'session',
  'tts-appskey-ok-interop-asid': 'session',
  'tts-http-appskey-ok': 'session',
  'tts-http-appskey-unknown-deveui': 'unknown device',
  'tts-client-appskey-1.0-unknown': 'unknown session',
  'tts-client-appskey-1.0-ok': 'session',
  'tts-client-appskey-1.1-unknown': 'unknown session',
  'tts-client-appskey-1.1-ok': 'session',
  'lorawanjs-appskey-ok': 'session',
  'lorawanjs-appskey-unknown-deveui': 'unknown device',
  'lorawanjs-appskey-not-activated': 'never joined',
  'lorawanjs-appskey-wrong-skid': 'stale session',
  'lorawanjs-appskey-bad-json': 'not JSON',
}

const NOT_OVER_HTTP = 'concerns rights of an API key of that implementation: there is no such message'
const EXCLUDED: Readonly<Record<string, string>> = {
  'tts-appskey-no-application-rights': NOT_OVER_HTTP,
  'tts-appskey-ok-application-rights': NOT_OVER_HTTP,
}

const NO_SESSION =
  'a session that is not there is UnknownDevEUI, as The Things Stack says it; Other would hide the cause'
/** Cases with another result than published, which is UnknownDevEUI in all of them. */
const ANSWERED_OTHERWISE: Readonly<Record<string, string>> = {
  'tts-appskey-missing-appskey': `a session without AppSKey cannot be here, so the device has none: ${NO_SESSION}`,
  'lorawanjs-appskey-not-activated': NO_SESSION,
  'lorawanjs-appskey-wrong-skid': NO_SESSION,
}

const RESULT: Record<Situation, string> = {
  session: 'Success',
  'unknown device': 'UnknownDevEUI',
  'unknown session': 'UnknownDevEUI',
  'stale session': 'UnknownDevEUI',
  'never joined': 'UnknownDevEUI',
  stranger: 'ActivationDisallowed',
  'not JSON': 'MalformedMessage',
}

const PLAYED = CASES.filter(({ id }) => EXCLUDED[id] === undefined)
/** Cases of one device, and those that want it before its first join before all others. */
const IN_ORDER = PLAYED.toSorted((a, b) => Number(isBeforeJoin(b)) - Number(isBeforeJoin(a)))
const ASKERS = PLAYED.filter(({ id }) => SITUATION[id] !== 'not JSON').map((one) => senderOf(one))
const LABELS = labelsOf(PLAYED)
const RING: KekRing = new Map(Array.from(LABELS.values(), (label) => [label, kekOf(label)]))
const DEVICES = devicesOf(PLAYED)

test('every case is played or excluded, and no table names another', () => {
  const ids = CASES.map(({ id }) => id).toSorted()
  expect([...Object.keys(SITUATION), ...Object.keys(EXCLUDED)].toSorted()).toEqual(ids)
  expect(Object.keys(ANSWERED_OTHERWISE).filter((id) => !ids.includes(id))).toEqual([])
})

/** What a device's last join came to. */
interface Session {
  readonly joins: number
  readonly sessionKeyId: string
  readonly appSKey: string
}

describe.each(BACKENDS)('AppSKeyReq cases on %s', (backend) => {
  const passed: string[] = []
  const sessions = new Map<string, Session>()
  const cleanup = new AsyncDisposableStack()
  let server: CaseServer

  beforeAll(async () => {
    const askers = [...new Set(ASKERS)].map((id): PeerName => ({ kind: 'as', id }))
    server = cleanup.use(await CaseServer.start(backend, [NETWORK, STRANGER, ...askers]))
    const keks = Array.from(LABELS, ([id, label]) => ({ kind: 'as' as const, id, label, key: kekOf(label) }))
    await server.enrol([...DEVICES.values()], keks)
  }, START_TIMEOUT_MS)

  afterAll(async () => {
    await cleanup.disposeAsync()
    console.log(reportOf(backend, passed))
  })

  test.each(IN_ORDER)('$id', async (one) => {
    const result = await play(one, SITUATION[one.id]!)
    expect(result).toBe(RESULT[SITUATION[one.id]!])
    if (ANSWERED_OTHERWISE[one.id] === undefined) expect(result).toBe(one.expected.Result?.ResultCode)
    passed.push(one.id)
  })

  async function play(one: PublishedCase, situation: Situation): Promise<string> {
    switch (situation) {
      case 'session':
        return await playSession(one)
      case 'unknown device':
      case 'never joined':
        return (await ask(one)).Result.ResultCode
      case 'unknown session':
        await sessionOf(one)
        return (await ask(one)).Result.ResultCode
      case 'stale session':
        return await playStaleSession(one)
      case 'stranger':
        return await playStranger(one)
      case 'not JSON':
        return await playNotJson(one)
    }
  }

  async function playSession(one: PublishedCase): Promise<string> {
    const session = await sessionOf(one)
    const answer = await ask(one, { SessionKeyID: session.sessionKeyId })
    expect(answer.SessionKeyID).toBe(session.sessionKeyId)
    expect(answer.DevEUI).toBe(deviceOf(one).devEui)
    expect(answer.AppSKey?.KEKLabel).toBe(LABELS.get(senderOf(one)))
    expect(openKey(answer.AppSKey!, RING)).toBe(session.appSKey)
    return answer.Result.ResultCode
  }

  async function playStaleSession(one: PublishedCase): Promise<string> {
    const first = await sessionOf(one)
    for (let join = 1; join < SESSIONS_KEPT; join++) await joinAgain(one)
    const kept = await ask(one, { SessionKeyID: first.sessionKeyId })
    expect(openKey(kept.AppSKey!, RING)).toBe(first.appSKey)
    await joinAgain(one)
    return (await ask(one, { SessionKeyID: first.sessionKeyId })).Result.ResultCode
  }

  async function playStranger(one: PublishedCase): Promise<string> {
    const { sessionKeyId } = await sessionOf(one)
    const claimed = await ask(one, { SessionKeyID: sessionKeyId }, STRANGER)
    expect(claimed.Result.ResultCode).toBe('UnknownSender')
    expect(claimed.AppSKey).toBeUndefined()
    const own = await ask(one, { SessionKeyID: sessionKeyId, SenderID: STRANGER.id }, STRANGER)
    expect(own.AppSKey).toBeUndefined()
    return own.Result.ResultCode
  }

  async function playNotJson(one: PublishedCase): Promise<string> {
    const { status, text } = await server.post(STRANGER, requestOf(one).raw!)
    // TS002 has no header to answer with; the one case for another status than 200.
    expect(status).toBe(400)
    return (JSON.parse(text) as ReceivedAnswer).Result.ResultCode
  }

  async function ask(one: PublishedCase, change: PublishedRequest = {}, caller?: PeerName): Promise<ReceivedAnswer> {
    const request = { ...requestOf(one), ...change }
    const { status, text } = await server.post(caller ?? { kind: 'as', id: senderOf(one) }, JSON.stringify(request))
    expect(status).toBe(200)
    const answer = JSON.parse(text) as ReceivedAnswer
    expectHeader(answer, request, {})
    if (answer.Result.ResultCode !== 'Success') expect(answer.AppSKey).toBeUndefined()
    return answer
  }

  /** The session of the device's last join; its first one, if it has not joined yet. */
  async function sessionOf(one: PublishedCase): Promise<Session> {
    return sessions.get(deviceNameOf(one)) ?? (await joinAgain(one))
  }

  /** The first of the device's application servers gets the AppSKey of a join with the answer to it. */
  async function joinAgain(one: PublishedCase): Promise<Session> {
    const { devEui, joinEui, macVersion, rootKeys, applicationServers } = deviceOf(one)
    const joins = (sessions.get(deviceNameOf(one))?.joins ?? 0) + 1
    await using element = new SoftSecureElement()
    element.loadDevice({ devEui, joinEui, macVersion }, rootKeys)
    const phyPayload = bytesToHex(await element.signJoinRequest(devEui, joins))
    const { text } = await server.post(
      NETWORK,
      JSON.stringify({
        ...{ ProtocolVersion: '1.0', MessageType: 'JoinReq', SenderID: NETWORK.id, ReceiverID: joinEui },
        ...{ TransactionID: 1, MACVersion: macVersion, PHYPayload: phyPayload, DevEUI: devEui },
        ...{ DevAddr: '26000001', DLSettings: '00', RxDelay: 1 },
      }),
    )
    const answer = JSON.parse(text) as ReceivedAnswer
    expect(answer.Result).toEqual({ ResultCode: 'Success' })
    expectSessionKeyId(answer)
    expect(answer.AppSKey?.KEKLabel).toBe(LABELS.get(applicationServers[0]!))
    const session = { joins, sessionKeyId: answer.SessionKeyID!, appSKey: openKey(answer.AppSKey!, RING) }
    sessions.set(deviceNameOf(one), session)
    return session
  }
})

/** With an even number of digits, where the other implementation counts sessions in hex. */
function requestOf({ request }: PublishedCase): PublishedRequest {
  if (request === null || typeof request === 'string') throw new Error('not an AppSKeyReq')
  const id = request['SessionKeyID']
  return typeof id === 'string' && id.length % 2 === 1 ? { ...request, SessionKeyID: `0${id}` } : request
}

function isBeforeJoin({ id }: PublishedCase): boolean {
  return SITUATION[id] === 'never joined'
}

function senderOf(one: PublishedCase): string {
  return textOf(one, 'SenderID')
}

function deviceOf(one: PublishedCase): CaseDevice {
  return DEVICES.get(deviceNameOf(one))!
}

function deviceNameOf(one: PublishedCase): string {
  return `${textOf(one, 'ReceiverID')} ${textOf(one, 'DevEUI')}`
}

/** The devices that are asked for and exist, each with all the application servers that ask for it. */
function devicesOf(cases: readonly PublishedCase[]): Map<string, CaseDevice> {
  const existing = cases.filter(({ id }) => !['unknown device', 'not JSON'].includes(SITUATION[id]!))
  const groups = Map.groupBy(existing, deviceNameOf)
  const devices = Array.from(groups, ([name, group]): [string, CaseDevice] => [
    name,
    {
      devEui: parseDevEui(textOf(group[0]!, 'DevEUI')),
      joinEui: parseJoinEui(textOf(group[0]!, 'ReceiverID')),
      macVersion: '1.0.3',
      rootKeys: { appKey: randomBytes(16) },
      applicationServers: [...new Set(group.map(senderOf))],
      networks: [parseNetId(NETWORK.id)],
    },
  ])
  return new Map(devices)
}

/** The KEK label of each application server: the published one, or its own name. */
function labelsOf(cases: readonly PublishedCase[]): Map<string, string> {
  const published = cases
    .filter(({ expected }) => expected.AppSKey?.KEKLabel !== undefined)
    .map((one): [string, string] => [senderOf(one), one.expected.AppSKey!.KEKLabel!])
  return new Map([...ASKERS.map((id): [string, string] => [id, id]), ...published])
}

function kekOf(label: string): Buffer {
  return createHash('sha256').update(label).digest()
}

function textOf(one: PublishedCase, name: string): string {
  const value = requestOf(one)[name]
  if (typeof value !== 'string') throw new Error(`${name} of ${one.id}`)
  return value
}

function reportOf(backend: string, passed: readonly string[]): string {
  const list = (reasons: Readonly<Record<string, string>>) =>
    Object.entries(reasons).map(([id, reason]) => `  ${id}: ${reason}`)
  const otherwise = passed.filter((id) => ANSWERED_OTHERWISE[id] !== undefined)
  const excluded = Object.keys(EXCLUDED)
  return [
    `conformance-cases.json, AppSKeyReq on ${backend}: the rule of ${passed.length} of ${CASES.length} cases passed: ` +
      `${passed.length - otherwise.length} with the published result, ${otherwise.length} with another, ${excluded.length} excluded`,
    ...list(ANSWERED_OTHERWISE),
    ...list(EXCLUDED),
  ].join('\n')
}
