import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dialectOf, encodeJoinReq, type JoinReqToSend, parseMessage } from '@mortise/backend-interfaces'
import { parseDevAddr, parseDevEui, parseJoinEui, parseNetId, parseNsId } from '@mortise/lorawan'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Metrics } from '../../src/http/metrics.ts'
import { type AuthenticatedPeer, NetworkServer, PeerDirectory } from '../../src/identity/index.ts'
import {
  createForward,
  type Forward,
  FORWARD_OUTCOMES,
  type ForwardOutcome,
  RouteTable,
} from '../../src/routing/index.ts'
import type { Route } from '../../src/storage/index.ts'
import { newCertificate, newPeer, newRoute, temporaryDirectory } from '../storage/fixtures.ts'
import { makeAuthority } from '../support/certificates.ts'
import { type PartnerBehaviour, PartnerServer, type Received } from './partner-server.ts'

const INSTALLATION = '00112233445566778899aabbccddeeff'
const JOIN_EUI = parseJoinEui('70b3d57ed0001234')
const OTHER_PREFIX = { joinEui: parseJoinEui('70b3d57ed1000000'), bits: 40 }
const OTHER_JOIN_EUI = parseJoinEui('70b3d57ed1000000')
const NS_ID = parseNsId('70b3d57ed0000013')
/** Short, so that a test of it need not wait; long enough for a handshake on a machine that does much else. */
const LIMITS = { places: 4, mostPlaces: 8, allPlaces: 16, mostAllPlaces: 64, timeoutMs: 1500 }

const authority = makeAuthority('partner-ca')
const client = authority.issue({ commonName: 'our-name-there' })
const stranger = makeAuthority('another-ca')

let partner: PartnerServer
beforeAll(async () => {
  partner = await PartnerServer.start(authority)
})
afterAll(async () => {
  await partner[Symbol.asyncDispose]()
})

let directory: ReturnType<typeof temporaryDirectory>
let routes: Route[]
let table: RouteTable
const lines: string[] = []
const counted = new Map<string, number>()
beforeEach(() => {
  directory = temporaryDirectory()
  mkdirSync(join(directory.path, 'routes'))
  routes = []
  lines.length = 0
  counted.clear()
  partner.received.length = 0
  const log = (line: string) => lines.push(line)
  table = new RouteTable({ storage: { listRoutes: () => routes }, keyFile, limits: LIMITS, log })
})
afterEach(async () => {
  await table[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

function keyFile(routeId: string): string {
  return join(directory.path, 'routes', `${routeId}.key`)
}

/** A route to the partner, in use at once. */
function addRoute(change: Partial<Route> = {}, key: string | null = client.key): Route {
  const prefix = { joinEui: parseJoinEui('70b3d57ed0000000'), bits: 40 }
  const certificates = { certificatePem: client.cert, authorityPem: authority.cert }
  const route = newRoute({ prefix, url: partner.url, protocol: '1.0', ...certificates, ...change })
  if (key !== null) writeFileSync(keyFile(route.routeId.toString('hex')), key, { mode: 0o600 })
  routes.push(route)
  table.reload()
  return route
}

function count(name: string): void {
  counted.set(name, (counted.get(name) ?? 0) + 1)
}

function newForward(): Forward {
  return createForward({
    routes: table,
    installation: INSTALLATION,
    limits: LIMITS,
    metrics: { answered: (type, result) => count(`${type} ${result}`), forwarded: count },
  })
}

function peerOf({ dialect, id, kekOnly }: Pick<Asked, 'dialect' | 'id' | 'kekOnly'>): AuthenticatedPeer {
  const certificates = [newCertificate({ fingerprint: id, notBefore: 0, notAfter: Infinity })]
  // Its own, as the same peer has the same one.
  const peerId = Buffer.from(id.padStart(32, '0'), 'hex')
  const peer = newPeer({ peerId, id, certificates, dialect, nsId: NS_ID, kekOnly })
  const peers = new PeerDirectory({ listPeers: () => [peer] })
  const known = peers.authenticate({ fingerprint: id, read: () => undefined }, Date.now())
  if (!(known instanceof NetworkServer)) throw new Error('no network server')
  return known
}

interface Asked {
  readonly request: Partial<JoinReqToSend>
  readonly dialect: 'standard-1.0' | 'chirpstack-4'
  readonly isForwarded: boolean
  readonly id: string
  readonly kekOnly: boolean
}

/** A JoinReq with this transaction, forwarded. */
function ask(forward: Forward, transactionId: number, asked: Partial<Asked> = {}): Promise<string> | undefined {
  const { dialect = 'standard-1.0', isForwarded = false, id = '000013', kekOnly = false } = asked
  const request: JoinReqToSend = {
    ...{ protocolVersion: '1.0', senderId: parseNetId(id), receiverId: JOIN_EUI, macVersion: '1.0.3' },
    ...{ phyPayload: Buffer.alloc(23, 1), devEui: parseDevEui('0004a30b001a2b3c'), devAddr: parseDevAddr('26011bda') },
    ...{ dlSettings: 0, rxDelay: 1, ...asked.request },
  }
  const body = Buffer.from(encodeJoinReq(request, transactionId))
  const message = parseMessage(body, dialectOf(dialect))
  if (message.kind !== 'message') throw new Error(message.kind)
  const { header } = message
  const peer = peerOf({ dialect, id, kekOnly })
  return forward({ peer, dialect: dialectOf(dialect), header, joinEui: request.receiverId, body, isForwarded })
}

/** An answer to what was received, written as nobody here would write it. */
function answerTo({ text }: Received, change: object = {}): string {
  const asked = JSON.parse(text) as Record<string, unknown>
  const { ProtocolVersion, TransactionID, SenderID, ReceiverID } = asked
  const AppSKey = { KEKLabel: 'of-their-application-server', AESKey: 'A1'.repeat(24) }
  const header = { MessageType: 'JoinAns', TransactionID, ProtocolVersion, SenderID: ReceiverID, ReceiverID: SenderID }
  const answer = { ...header, Result: { ResultCode: 'Success' }, PHYPayload: '20'.repeat(17), AppSKey, ...change }
  return `\n${JSON.stringify(answer, undefined, '\t')}\r\n`
}

const good: PartnerBehaviour = (received, response) => response.end(answerTo(received))

describe('a request that a route covers', () => {
  test('goes to the partner as it came, under our certificate, and its answer comes back to the last byte', async () => {
    addRoute()
    let sent = ''
    partner.behave = (received, response) => response.end((sent = answerTo(received)))
    expect(await ask(newForward(), 7)).toBe(sent)
    const [received] = partner.received
    expect(received).toMatchObject({
      ...{ forwardedBy: INSTALLATION, contentType: 'application/json', clientName: 'our-name-there' },
    })
    expect(JSON.parse(received!.text)).toMatchObject({ ProtocolVersion: '1.0', TransactionID: 7, SenderID: '000013' })
    expect(Object.fromEntries(counted)).toEqual({ answered: 1, 'JoinReq Success': 1 })
    expect(lines).toEqual([])
  })

  test('uses connections again', async () => {
    addRoute()
    partner.behave = good
    const forward = newForward()
    const before = partner.connections
    for (let transaction = 0; transaction < 10; transaction++) await ask(forward, transaction)
    expect(partner.received).toHaveLength(10)
    expect(partner.connections - before).toBeLessThanOrEqual(2)
  })

  test.each(['1.0', '1.1'] as const)(
    'is put into the version of the partner, %s, and the answer back',
    async (protocol) => {
      addRoute({ protocol })
      partner.behave = good
      for (const protocolVersion of ['1.0', '1.1'] as const) {
        const answer = await ask(newForward(), 1, { request: { protocolVersion, senderNsId: NS_ID } })
        expect(JSON.parse(answer!)).toMatchObject({ ProtocolVersion: protocolVersion })
      }
      const versions = partner.received.map(({ text }) => JSON.parse(text) as Record<string, unknown>)
      const expected = protocol === '1.0' ? { ProtocolVersion: '1.0' } : { ProtocolVersion: '1.1', SenderNSID: NS_ID }
      for (const version of versions) expect(version).toMatchObject(expected)
      if (protocol === '1.0') for (const version of versions) expect(version).not.toHaveProperty('SenderNSID')
    },
  )

  test('that the partner refuses is refused with a code that the peer can read', async () => {
    addRoute({ protocol: '1.1' })
    partner.behave = (received, response) => {
      response.end(answerTo(received, { Result: { ResultCode: 'FrameReplayed', Description: 'used before' } }))
    }
    const answer = await ask(newForward(), 1, { dialect: 'chirpstack-4' })
    expect(JSON.parse(answer!)).toMatchObject({ Result: { ResultCode: 'JoinReqFailed', Description: 'used before' } })
    expect(Object.fromEntries(counted)).toEqual({ answered: 1, 'JoinReq FrameReplayed': 1 })
  })
})

describe('no partner is asked', () => {
  test('where no route covers the JoinEUI', async () => {
    partner.behave = good
    const forward = newForward()
    expect(ask(forward, 1)).toBeUndefined()
    addRoute()
    expect(ask(forward, 1, { request: { receiverId: parseJoinEui('70b3d57ed1000000') } })).toBeUndefined()
    expect(await ask(forward, 1)).toContain('Success')
    expect(partner.received).toHaveLength(1)
  })

  test('for a request that was forwarded once', async () => {
    addRoute()
    partner.behave = good
    const forward = newForward()
    expect(ask(forward, 1, { isForwarded: true })).toBeUndefined()
    expect(partner.received).toEqual([])
    expect(Object.fromEntries(counted)).toEqual({ loop: 1 })
    expect(await ask(forward, 1)).toContain('Success')
  })
})

describe('a partner that is broken', () => {
  const never: PartnerBehaviour = () => undefined
  const withStatus =
    (status: number): PartnerBehaviour =>
    (received, response) =>
      response.writeHead(status).end(answerTo(received))
  const refusing =
    (status: number): PartnerBehaviour =>
    (received, response) =>
      response.writeHead(status).end(answerTo(received, { Result: { ResultCode: 'UnknownDevEUI' } }))
  const broken: [string, ForwardOutcome, PartnerBehaviour][] = [
    ['does not answer', 'timeout', never],
    ['stops in the middle', 'timeout', (_received, response) => response.write('{"MessageType":')],
    ['hangs up', 'connection', (_received, response) => response.destroy()],
    ['answers HTML', 'unusable', (_received, response) => response.end('<html>It works!</html>')],
    ['answers nothing', 'unusable', (_received, response) => response.end()],
    ['answers too much', 'connection', (_received, response) => response.end(Buffer.alloc(100_000, 0x20))],
    ['answers somebody else', 'unusable', (got, response) => response.end(answerTo(got, { TransactionID: 8 }))],
    [
      'answers another question',
      'unusable',
      (got, response) => response.end(answerTo(got, { MessageType: 'HomeNSAns' })),
    ],
    ['answers HTTP 500', 'http_status', withStatus(500)],
    ['answers HTTP 403', 'http_status', withStatus(403)],
    ['answers HTTP 404 in HTML', 'http_status', (_got, response) => response.writeHead(404).end('<html>')],
    ['answers HTTP 503 with a refusal', 'http_status', refusing(503)],
    ['sends us elsewhere', 'http_status', withStatus(307)],
  ]
  test.each(broken)('and %s makes an answer that says so: %s', async (_what, outcome, behave) => {
    addRoute()
    partner.behave = behave
    const forward = newForward()
    const answer = JSON.parse((await ask(forward, 7))!) as object
    const what = ['timeout', 'connection'].includes(outcome) ? 'no answer' : 'no usable answer'
    expect(answer).toMatchObject({
      ...{ ProtocolVersion: '1.0', MessageType: 'JoinAns', TransactionID: 7, ReceiverID: '000013', SenderID: JOIN_EUI },
      Result: { ResultCode: 'Other', Description: `the join server of this JoinEUI gave ${what}` },
    })
    expect(Object.fromEntries(counted)).toEqual({ [outcome]: 1, 'JoinReq Other': 1 })
    partner.behave = good
    expect(await ask(forward, 8)).toContain('Success')
  })

  test('is told of once, not for every device; the answer says nothing of it', async () => {
    addRoute()
    partner.behave = withStatus(500)
    const forward = newForward()
    for (let transaction = 0; transaction < 3; transaction++)
      expect(await ask(forward, transaction)).not.toContain(partner.url)
    expect(lines).toEqual([
      expect.stringContaining(`${partner.url} gives no usable answer for JoinEUI 70b3d57ed0000000/40`),
    ])
    expect(lines[0]).toContain('HTTP 500')
    expect(Object.fromEntries(counted)).toEqual({ http_status: 3, 'JoinReq Other': 3 })
  })

  test('that is not the one that the CA of the route knows gets nothing', async () => {
    addRoute({ authorityPem: stranger.cert })
    partner.behave = good
    expect(await ask(newForward(), 1)).toContain('"Other"')
    expect(partner.received).toEqual([])
    expect(counted.get('connection')).toBe(1)
  })

  test('that has another name than the URL gets nothing', async () => {
    await using other = await PartnerServer.start(authority, 'DNS:other.example')
    other.behave = good
    addRoute({ url: other.url })
    expect(await ask(newForward(), 1)).toContain('"Other"')
    expect(other.received).toEqual([])
    expect(lines.join('')).toContain('The certificate is not for 127.0.0.1')
  })

  test('does not know our certificate: nothing is taken for an answer', async () => {
    addRoute({ certificatePem: stranger.cert }, stranger.key)
    partner.behave = good
    expect(await ask(newForward(), 1)).toContain('"Other"')
    expect(partner.received).toEqual([])
  })

  test('of which too many wait is not asked, others are', async () => {
    await using other = await PartnerServer.start(authority)
    addRoute()
    addRoute({ prefix: OTHER_PREFIX, url: other.url })
    const waiting: (() => void)[] = []
    partner.behave = (received, response) => waiting.push(() => response.end(answerTo(received)))
    other.behave = partner.behave
    const forward = newForward()
    const asked = Array.from({ length: 4 }, (_, transaction) => ask(forward, transaction))
    expect(JSON.parse((await ask(forward, 99))!)).toMatchObject({
      ...{ TransactionID: 99, Result: { ResultCode: 'Other', Description: 'busy, try again' } },
    })
    expect(counted.get('busy')).toBe(1)
    const atAnother = ask(forward, 100, { request: { receiverId: OTHER_JOIN_EUI } })
    const others = ask(forward, 101, { id: '000014' })
    await expect.poll(() => waiting.length).toBe(6)
    for (const answer of waiting) answer()
    for (const answer of await Promise.all([...asked, atAnother, others])) expect(answer).toContain('Success')
    partner.behave = good
    expect(await ask(forward, 102)).toContain('Success')
  })

  test('and holds requests of many peers takes no place at another: there one peer may have all', async () => {
    await using healthy = await PartnerServer.start(authority)
    addRoute()
    addRoute({ prefix: { joinEui: parseJoinEui('70b3d57ed2000000'), bits: 40 } })
    addRoute({ prefix: OTHER_PREFIX, url: healthy.url })
    const stuck: (() => void)[] = []
    const waiting: (() => void)[] = []
    partner.behave = (received, response) => stuck.push(() => response.end(answerTo(received)))
    healthy.behave = (received, response) => waiting.push(() => response.end(answerTo(received)))
    const forward = newForward()
    // As many as it may hold at the very most, by whichever of its routes they come.
    const held = Array.from({ length: 9 }, (_, index) => {
      const request = index % 2 === 0 ? {} : { receiverId: parseJoinEui('70b3d57ed2000001') }
      return ask(forward, index, { id: `00001${index}`, request })
    })
    expect(await held[8]).toContain('busy')
    expect(counted.get('busy')).toBe(1)
    const request = { receiverId: OTHER_JOIN_EUI }
    const asked = Array.from({ length: 4 }, (_, index) => ask(forward, 20 + index, { request }))
    expect(await ask(forward, 99, { request })).toContain('busy')
    await expect.poll(() => [stuck.length, waiting.length]).toEqual([8, 4])
    for (const answer of [...stuck, ...waiting]) answer()
    for (const answer of await Promise.all([...held.slice(0, 8), ...asked])) expect(answer).toContain('Success')
  })
})

/** For a peer that takes them under a KEK only. */
describe('network session keys in clear', () => {
  const [wrapped, clear] = [{ KEKLabel: 'ns', AESKey: '11'.repeat(24) }, { AESKey: '11'.repeat(16) }]
  const of11 = { FNwkSIntKey: wrapped, SNwkSIntKey: wrapped, NwkSEncKey: wrapped }
  const given = (change: object): void => {
    partner.behave = (received, response) => response.end(answerTo(received, change))
  }

  test.each<[string, object]>([
    ['of LoRaWAN 1.0', { NwkSKey: clear }],
    ['one of LoRaWAN 1.1', { ...of11, SNwkSIntKey: clear }],
    ['with a label that is none', { NwkSKey: { ...clear, KEKLabel: '' } }],
    ['with a label that hides nothing', { NwkSKey: { ...clear, KEKLabel: 'ns' } }],
    ['that are no envelope', { NwkSKey: clear.AESKey }],
    ['by a name that only some tell from it', { nwkskey: clear }],
  ])('%s do not reach it; who takes them so gets them', async (_what, change) => {
    addRoute()
    given(change)
    const forward = newForward()
    const answer = await ask(forward, 7, { kekOnly: true })
    expect(JSON.parse(answer!)).toMatchObject({
      ...{ MessageType: 'JoinAns', TransactionID: 7 },
      Result: { ResultCode: 'Other', Description: expect.stringContaining('without a KEK') as string },
    })
    expect(answer).not.toContain(clear.AESKey)
    expect(Object.fromEntries(counted)).toEqual({ clear_keys: 1, 'JoinReq Other': 1 })
    expect(lines).toEqual([expect.stringContaining('000013 takes network session keys under a KEK only')])
    expect(lines.join('')).not.toContain(clear.AESKey)
    expect(await ask(forward, 8)).toContain(clear.AESKey)
  })

  test.each<[string, object]>([
    ['under a KEK', { NwkSKey: wrapped }],
    ['under a KEK, of LoRaWAN 1.1', of11],
    ['under a KEK, beside members that are null', { NwkSKey: wrapped, FNwkSIntKey: null }],
    ['that are not there, for it is a refusal', { Result: { ResultCode: 'MICFailed' }, AppSKey: undefined }],
  ])('are none %s: these reach it', async (_what, change) => {
    addRoute()
    let sent = ''
    partner.behave = (received, response) => response.end((sent = answerTo(received, change)))
    expect(await ask(newForward(), 7, { kekOnly: true })).toBe(sent)
    expect(counted.get('answered')).toBe(1)
  })
})

test('a refusal is an answer under HTTP 4xx too, as the older ones of ChirpStack send it; a Success is none', async () => {
  addRoute()
  const answered = (status: number, ResultCode: string): void => {
    partner.behave = (received, response) =>
      response.writeHead(status).end(answerTo(received, { Result: { ResultCode, Description: 'theirs' } }))
  }
  const forward = newForward()
  for (const [status, code] of [[400, 'UnknownDevEUI'] as const, [404, 'MICFailed'] as const]) {
    answered(status, code)
    expect(JSON.parse((await ask(forward, 7))!)).toMatchObject({ Result: { ResultCode: code, Description: 'theirs' } })
  }
  expect(Object.fromEntries(counted)).toEqual({ answered: 2, 'JoinReq UnknownDevEUI': 1, 'JoinReq MICFailed': 1 })
  expect(lines).toEqual([])
  answered(400, 'Success')
  expect(await ask(forward, 8)).toContain('no usable answer')
  expect(counted.get('http_status')).toBe(1)
})

describe('the private key of a route', () => {
  test.each<[string, (path: string) => void]>([
    ['is missing', (path) => rmSync(path)],
    ['can be read by others', (path) => chmodSync(path, 0o644)],
    ['is another one', (path) => writeFileSync(path, stranger.key)],
    ['is none', (path) => writeFileSync(path, 'none')],
  ])('that %s is told at once, and looked for again', async (_what, spoil) => {
    const route = newRoute({ certificatePem: client.cert, authorityPem: authority.cert, url: partner.url })
    const path = keyFile(route.routeId.toString('hex'))
    writeFileSync(path, client.key, { mode: 0o600 })
    spoil(path)
    addRoute(route, null)
    expect(lines).toEqual([expect.stringContaining('gives no usable answer for JoinEUI')])
    expect(lines.join('')).not.toContain('PRIVATE')
    partner.behave = good
    const request = { receiverId: route.prefix.joinEui }
    const forward = newForward()
    expect(await ask(forward, 1, { request })).toContain('"Other"')
    rmSync(path, { force: true })
    writeFileSync(path, client.key, { mode: 0o600 })
    expect(await ask(forward, 2, { request })).toContain('Success')
  })

  test('goes with its route; what is under way there is still answered', async () => {
    const route = addRoute()
    const kept = addRoute({ prefix: { joinEui: parseJoinEui('70b3d57ed1000000'), bits: 40 } })
    const forward = newForward()
    const arrived = new Promise<() => void>((resolve) => {
      partner.behave = (received, response) => {
        resolve(() => response.end(answerTo(received)))
      }
    })
    const asked = ask(forward, 1)
    const answer = await arrived
    routes.splice(0, 1)
    table.reload()
    expect(existsSync(keyFile(route.routeId.toString('hex')))).toBe(false)
    expect(existsSync(keyFile(kept.routeId.toString('hex')))).toBe(true)
    answer()
    expect(await asked).toContain('Success')
    expect(ask(forward, 2)).toBeUndefined()
  })
})

test('connections that cannot be closed are told of', async () => {
  addRoute()
  partner.behave = good
  await ask(newForward(), 1)
  await table.find(JOIN_EUI)?.close()
  routes.length = 0
  table.reload()
  await expect
    .poll(() => lines)
    .toEqual([expect.stringContaining(`connections to ${partner.url}, whose route was removed, could not be closed`)])
})

test('routes that cannot be read lead nowhere, and where they did once they can be', async () => {
  addRoute()
  let fails = false
  const listRoutes = (): Route[] => {
    if (fails) throw new Error('disk I/O error')
    return routes
  }
  await using failing = new RouteTable({ storage: { listRoutes }, keyFile, limits: LIMITS, log: () => undefined })
  const before = failing.find(JOIN_EUI)
  expect(before).toBeDefined()
  fails = true
  expect(() => failing.reload()).toThrow('disk I/O error')
  expect(failing.find(JOIN_EUI)).toBeUndefined()
  fails = false
  failing.reload()
  expect(failing.find(JOIN_EUI)).toBe(before)
})

test('the longest prefix counts', () => {
  const prefixes = ['0000000000000000/0', '70b3d50000000000/24', '70b3d57ed0000000/40', '70b3d57ed0001234/64'] as const
  for (const prefix of [prefixes[1], prefixes[3], prefixes[0], prefixes[2]]) {
    const [joinEui = '', bits] = prefix.split('/')
    addRoute({
      prefix: { joinEui: parseJoinEui(joinEui), bits: Number(bits) },
      url: `https://partner-${bits}.example/`,
    })
  }
  const found = (joinEui: string) => table.find(parseJoinEui(joinEui))?.route.prefix.bits
  expect(found('70b3d57ed0001234')).toBe(64)
  expect(found('70b3d57ed0001235')).toBe(40)
  expect(found('70b3d57ed1001234')).toBe(24)
  expect(found('70b3d60000000000')).toBe(0)
  expect(found('ffffffffffffffff')).toBe(0)
})

test('every outcome is one that /metrics shows, before it happens and after', () => {
  const metrics = new Metrics()
  const shown = () => Array.from(metrics.render().matchAll(/^mortise_forwarded_total\{outcome="(\w+)"\} (\d+)$/gm))
  expect(shown().map(([, outcome, count]) => [outcome, count])).toEqual(FORWARD_OUTCOMES.map((name) => [name, '0']))
  for (const outcome of FORWARD_OUTCOMES) metrics.forwarded(outcome)
  expect(shown().map(([, , count]) => count)).toEqual(FORWARD_OUTCOMES.map(() => '1'))
  const counted: readonly ForwardOutcome[] = ['answered', 'busy', 'loop', 'timeout', 'connection', 'http_status']
  expect(FORWARD_OUTCOMES).toEqual(expect.arrayContaining([...counted, 'unusable', 'clear_keys']))
})
