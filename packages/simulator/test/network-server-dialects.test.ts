import { readFile, writeFile } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { DIALECT_NAMES, type DialectName, dialectOf } from '@mortise/backend-interfaces'
import {
  bytesToHex,
  devEuiFromBytes,
  MAC_VERSIONS,
  type MacVersion,
  parseJoinEui,
  parseNetId,
  parseNsId,
} from '@mortise/lorawan'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  AnswerListener,
  CommandProcess,
  Device,
  NETWORK_SERVER_MAIN,
  NetworkServer,
  SoftSecureElement,
} from '../src/index.ts'
import { codeOf } from './errors.ts'
import { type OracleNetwork, startOracleNetwork, writeNetworkServerConfig } from './network.ts'

const JOIN_EUI = parseJoinEui('70b3d57ed0000abc')
const READING = { fPort: 2, payload: Buffer.from('the front door is open') }

/** How each kind of network server writes a JoinReq of version 1.1 of LoRaWAN. */
const SPELLING: Record<DialectName, Record<string, unknown>> = {
  'standard-1.0': { ProtocolVersion: '1.0', SenderID: 'c00053', SenderNSID: undefined, MACVersion: '1.1.0' },
  'standard-1.1': { ProtocolVersion: '1.1', SenderID: 'c00053', SenderNSID: '70b3d57ed0000abc', MACVersion: '1.1.0' },
  'chirpstack-4': { ProtocolVersion: '1.0', SenderID: 'c00053', SenderNSID: undefined, VSExtension: undefined },
  'chirpstack-3': { ProtocolVersion: '1.0', SenderID: 'c00053', SenderNSID: undefined, VSExtension: {} },
  'the-things-stack': {
    ProtocolVersion: '1.1',
    SenderID: 'C00053',
    SenderNSID: '70B3D57ED0000ABC',
    MACVersion: '1.1',
    TransactionID: 0,
  },
  helium: { ProtocolVersion: '1.1', SenderID: '0xC00053', SenderNSID: '', MACVersion: '1.1.0' },
}

let network: OracleNetwork
const secureElement = new SoftSecureElement()
let deviceCount = 0

beforeAll(async () => {
  network = await startOracleNetwork()
})

afterAll(() => network[Symbol.asyncDispose]())

afterEach(() => {
  network.speak('standard-1.0')
})

async function newDevice(macVersion: MacVersion): Promise<Device> {
  const devEui = devEuiFromBytes(Uint8Array.of(0, 4, 0xa3, 0x0b, 0, 0x1c, 7, ++deviceCount))
  const identity = { devEui, joinEui: JOIN_EUI, macVersion }
  await secureElement.createDevice(identity)
  network.addDevice(identity, await secureElement.takeRootKeysForProvisioning(devEui))
  return new Device(secureElement, identity)
}

async function listen(): Promise<AnswerListener> {
  const file = (name: string) => readFile(join(network.dir, name))
  const tls = { cert: await file('server.crt'), key: await file('server.key'), ca: await file('ca.crt') }
  return await AnswerListener.listen({ ...tls, host: '127.0.0.1', port: 0 })
}

function speaking(name: DialectName, inbox?: AnswerListener): NetworkServer {
  const { unreadableAnsweredIn, asks } = dialectOf(name)
  return new NetworkServer({
    netId: parseNetId('c00053'),
    nsId: parseNsId('70b3d57ed0000abc'),
    protocolVersion: name === 'standard-1.0' ? '1.0' : unreadableAnsweredIn,
    connect: (onExchange) => network.connect(onExchange, { style: asks, inbox }),
  })
}

async function joinAndTalk(ns: NetworkServer, macVersion: MacVersion): Promise<void> {
  const device = await newDevice(macVersion)
  const { phyPayload } = await ns.activate(await device.joinRequest(), { macVersion })
  await device.handleJoinAccept(phyPayload)
  expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(0)
  if (macVersion !== '1.1.0') return
  await device.handleJoinAccept((await ns.rejoin(await device.rejoinRequest(0))).phyPayload)
  expect(ns.receiveUplink(await device.uplink(READING)).fCnt).toBe(0)
  expect(await ns.homeNs(JOIN_EUI, device.identity.devEui)).toMatchObject({ hNetId: 'c00053' })
}

describe.each(DIALECT_NAMES)('a network server that speaks %s', (name) => {
  test('joins devices of every version, rejoins, and asks for their home', async () => {
    network.speak(name)
    await using ns = speaking(name)
    for (const macVersion of MAC_VERSIONS) await joinAndTalk(ns, macVersion)
    const joinReq = network.requests.findLast(
      ({ MACVersion, MessageType }) => String(MACVersion).startsWith('1.1') && MessageType === 'JoinReq',
    )
    for (const [member, value] of Object.entries(SPELLING[name])) expect(joinReq?.[member]).toEqual(value)
  })
})

const ASYNCHRONOUS = DIALECT_NAMES.filter((name) => dialectOf(name).asynchronous)

test.each(ASYNCHRONOUS)('a network server that speaks %s takes its answers at a listener of its own', async (name) => {
  await using inbox = await listen()
  network.speak(name, inbox.url)
  await using ns = speaking(name, inbox)
  for (const macVersion of MAC_VERSIONS) await joinAndTalk(ns, macVersion)
  await Promise.all(Array.from({ length: 8 }, () => joinAndTalk(ns, '1.0.3')))
  expect(inbox.unclaimed).toBe(0)
})

describe('a network server that speaks the-things-stack', () => {
  test('has a new connection for each request, and leaves them open', async () => {
    network.speak('the-things-stack')
    await using ns = speaking('the-things-stack')
    const { connections } = network.joinServer
    await expect.poll(() => connections.open).toBe(0)
    const { made } = connections
    for (let count = 0; count < 4; count++) await joinAndTalk(ns, '1.0.3')
    expect(connections).toEqual({ made: made + 4, open: 4 })
  })
})

describe('a listener for answers', () => {
  async function post(url: string, body: string, certified = true): Promise<number | string> {
    const file = (name: string) => readFile(join(network.dir, name))
    const identity = certified ? { cert: await file('client.crt'), key: await file('client.key') } : {}
    const ca = await file('ca.crt')
    return await new Promise((resolve) => {
      const request = httpsRequest(url, { ca, ...identity, method: 'POST', agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
      request.on('error', () => resolve('refused')).end(body)
    })
  }

  const ANSWER = '{"SenderID":"70b3d57ed0000abc","TransactionID":7,"MessageType":"JoinAns"}'

  test('takes them at any path, from who has a certificate, and drops what nobody waits for', async () => {
    await using inbox = await listen()
    const arrived = inbox.answerTo(7, new AbortController().signal)
    expect(await post(`${inbox.url}any/path`, ANSWER)).toBe(200)
    expect(Buffer.from(await arrived).toString()).toBe(ANSWER)
    expect(await post(inbox.url, ANSWER)).toBe(200)
    expect(inbox.unclaimed).toBe(1)
    expect(await post(inbox.url, ANSWER, false)).toBe('refused')
  })

  test.each([
    ['no JSON', 'x'],
    ['no object', 'null'],
    ['no TransactionID', ANSWER.replace('7,', '"7",')],
    ['a SenderID that is a NetID', ANSWER.replace('70b3d57ed0000abc', '000013')],
    ['a body without end', `${ANSWER}${' '.repeat(70_000)}`],
  ])('refuses %s', async (_, body) => {
    await using inbox = await listen()
    expect(await post(inbox.url, body)).toBe(400)
    expect(await post(inbox.url, ANSWER)).toBe(200)
  })

  test('waits no longer than it is told', async () => {
    await using inbox = await listen()
    const gone = inbox.answerTo(7, AbortSignal.timeout(20))
    await expect(gone).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(await post(inbox.url, ANSWER)).toBe(200)
    expect(inbox.unclaimed).toBe(1)
  })
})

describe('the network server as a process', () => {
  test('speaks a dialect, shows who asks, and takes answers at a listener of its own', async () => {
    await writeFile(join(network.dir, 'token'), 'needle\n', { mode: 0o600 })
    const config = await writeNetworkServerConfig(network, 'ns-async', '000013', {
      dialect: 'chirpstack-4',
      authorization: { kind: 'bearer', tokenFile: 'token' },
      answers: { host: '127.0.0.1', port: 0, caFile: 'ca.crt', certFile: 'server.crt', keyFile: 'server.key' },
    })
    await using ns = new CommandProcess({ program: NETWORK_SERVER_MAIN, args: ['--config', config] })
    network.speak('chirpstack-4', (await ns.request('answersAt')).text('url'))
    const device = await newDevice('1.1.0')
    const joinRequest = bytesToHex(await device.joinRequest())
    const joined = await ns.request('activate', { phyPayload: joinRequest, macVersion: '1.1.0' })
    await device.handleJoinAccept(joined.bytes('phyPayload'))
    const rejoin = bytesToHex(await device.rejoinRequest(2))
    const rejoined = await ns.request('rejoin', { phyPayload: rejoin, rxDelay: 3 })
    expect(await device.handleJoinAccept(rejoined.bytes('phyPayload'))).toMatchObject({ rxDelay: 3 })
    const { devEui } = device.identity
    expect((await ns.request('homeNs', { joinEui: JOIN_EUI, devEui })).text('hNetId')).toBe('c00053')
    expect(await codeOf(() => ns.request('rejoin', { phyPayload: rejoin }))).toBe('rj_count_replayed')
    expect(network.joinServer.authorizations.slice(-3)).toEqual(Array.from({ length: 3 }, () => 'Bearer needle'))
  })

  test.each([
    ['an unknown dialect', { dialect: 'chirpstack-5' }],
    ['a version that the dialect does not speak', { dialect: 'standard-1.1' }],
    ['an unknown authorization', { authorization: { kind: 'digest' } }],
  ])('does not start with %s', async (_, members) => {
    const config = await writeNetworkServerConfig(network, 'ns-wrong', '000013', members)
    await using ns = new CommandProcess({ program: NETWORK_SERVER_MAIN, args: ['--config', config] })
    expect(await codeOf(() => ns.request('seen'))).toBe('process_ended')
    const good = await writeNetworkServerConfig(network, 'ns-right', '000013', { dialect: 'helium' })
    await using other = new CommandProcess({ program: NETWORK_SERVER_MAIN, args: ['--config', good] })
    expect(await codeOf(() => other.request('seen'))).toBeUndefined()
  })
})
