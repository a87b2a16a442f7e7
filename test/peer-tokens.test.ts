import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppSKeyClient, KekRing } from '@mortise/application-server'
import { createClient } from '@mortise/backend-interfaces'
import { type NetId, parseNetId } from '@mortise/lorawan'
import { type Device, NetworkServer } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Clock } from './support/clock.ts'
import { askApi } from './support/exchange.ts'
import { type HeaderFile, HeaderLine, readHeaderFile } from './support/header-line.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import { searchFiles } from './support/memory.ts'
import { AS_ID, enrolDevice, joinDevice, NET_ID, setKek } from './support/parties.ts'
import { descendantsOf, environmentOf } from './support/processes.ts'
import { SecretSearch } from './support/secret-search.ts'

/**
 * Peers that can show no certificate, from the command that makes their token to a join, over TLS. The tests build on one
 * another, in this order: what is revoked stays revoked.
 */

const OTHER_NET_ID = parseNetId('000014')
const DISABLED_NET_ID = parseNetId('000015')
const NETWORKS = [NET_ID, OTHER_NET_ID, DISABLED_NET_ID]
const OWN_HEADER = 'X-Join-Server-Token'

const root = mkdtempSync(join(tmpdir(), 'mortise-peer-tokens-'))
const clock = new Clock(join(root, 'clock'), 0)
let installation: Installation
let server: ServerProcess
let device: Device
let kek: Buffer
/** What each peer was given, by the name of its file. */
const given = new Map<string, HeaderFile>()

beforeAll(async () => {
  installation = await Installation.create('soft', { environment: clock.environment })
  server = await installation.serve('--workers', '1')
  await give('bearer', 'add', 'ns', '--net-id', NET_ID)
  await give('basic', 'token', 'add', NET_ID, '--token-as', 'basic')
  await give('own', 'token', 'add', `ns:${NET_ID}`, '--token-as', OWN_HEADER)
  await give('other', 'add', 'ns', '--net-id', OTHER_NET_ID, '--token-as', 'X-Other')
  await give('disabled', 'add', 'ns', '--net-id', DISABLED_NET_ID)
  await give('application', 'add', 'as', '--as-id', AS_ID, '--token-as', 'basic')
  kek = await setKek(installation, 'as', AS_ID, 'owner-1')
  device = (await enrolDevice(installation, '1.0.4', { networks: NETWORKS })).device
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

const fileOf = (name: string): string => join(installation.root, `${name}.header`)

/** Runs a command that makes a token. */
async function give(name: string, ...words: string[]): Promise<void> {
  await installation.mortise('peer', ...words, '--token', fileOf(name))
  given.set(name, readHeaderFile(fileOf(name)))
}

/** Name and value, as a request has them. */
function shows(...names: string[]): string[] {
  return names.map((name) => given.get(name)!).flatMap(({ name, value }) => [name, value])
}

function connect(name: string, onExchange?: (request: string, answer: string) => void) {
  const { authorization } = given.get(name)!
  const ca = readFileSync(join(installation.data, 'ca.pem'))
  return createClient({ url: server.biUrl, ca, authorization, timeoutMs: 10_000, ...(onExchange && { onExchange }) })
}

const line = (certificate?: { readonly cert: Buffer; readonly key: Buffer }) =>
  new HeaderLine(server, installation, certificate)

describe('a device joins through a network server that shows', () => {
  test.each(['bearer', 'basic', 'own'])('a token: %s', async (name) => {
    expect(statSync(fileOf(name)).mode & 0o777).toBe(0o600)
    await using network = new NetworkServer({
      ...{ netId: NET_ID, protocolVersion: '1.0', connect: (onExchange) => connect(name, onExchange) },
    })
    const { sessionKeyId } = await joinDevice(network, device)
    using kekRing = new KekRing()
    kekRing.add('owner-1', kek)
    await using joinServer = connect('application')
    const client = new AppSKeyClient({ joinServer, kekRing, asId: AS_ID, protocolVersion: '1.0' })
    const { devEui, joinEui } = device.identity
    await client.fetchAppSKey({ devEui, joinEui, sessionKeyId: sessionKeyId! })
  })
})

test('the forms of a token: one line, with its header, as the peer is to send it', () => {
  const lines = ['bearer', 'basic', 'own'].map((name) => readFileSync(fileOf(name), 'utf8').replace(/\n$/, ''))
  const token = (name: string) => given.get(name)!.token
  const basic = Buffer.from(`${NET_ID}:${token('basic')}`).toString('base64')
  expect(lines).toEqual([
    `Authorization: Bearer ${token('bearer')}`,
    `Authorization: Basic ${basic}`,
    `${OWN_HEADER}: ${token('own')}`,
  ])
  for (const name of given.keys()) expect(token(name)).toMatch(/^mortise_[\w-]{43}$/)
})

describe('is answered as a stranger, and the same request with the right token alone is accepted:', () => {
  const rows: [string, NetId, () => string[]][] = [
    ['no token', NET_ID, () => []],
    ['a wrong token', NET_ID, () => ['Authorization', `Bearer mortise_${'A'.repeat(43)}`]],
    ['the digest of a token', NET_ID, () => ['Authorization', 'ab'.repeat(32)]],
    ['a token in another header of a peer', NET_ID, () => [OWN_HEADER, given.get('bearer')!.value]],
    ['a token in a header of nobody', NET_ID, () => ['X-Token', given.get('own')!.value]],
    ['the token of another network server, with one’s own SenderID', NET_ID, () => shows('other')],
    ['one’s own token, with the SenderID of another', OTHER_NET_ID, () => shows('bearer')],
    ['the header twice', NET_ID, () => shows('bearer', 'bearer')],
    ['the header twice, with two tokens of the peer', NET_ID, () => shows('bearer', 'basic')],
    ['the header twice, the second time with nothing good', NET_ID, () => [...shows('own'), OWN_HEADER, 'x']],
    ['tokens of two network servers', NET_ID, () => shows('bearer', 'other')],
    ['tokens of a network server and an application server', NET_ID, () => shows('own', 'application')],
  ]
  test.each(rows)('%s', async (_name, senderId, headers) => {
    const frame = await device.joinRequest()
    using refused = line()
    expect(await refused.join(frame, device.identity, senderId, headers())).toMatchObject({
      ResultCode: 'UnknownSender',
    })
    using accepted = line()
    const right = shows(senderId === NET_ID ? 'bearer' : 'other')
    expect(await accepted.join(frame, device.identity, senderId, right)).toMatchObject({ ResultCode: 'Success' })
  })

  test('but not beside another header that somebody in between has made', async () => {
    using both = line()
    const headers = ['Authorization', 'Basic cHJveHk6cHJveHk=', ...shows('own')]
    const answer = await both.join(await device.joinRequest(), device.identity, NET_ID, headers)
    expect(answer).toMatchObject({ ResultCode: 'Success' })
  })
})

test('a token that is removed lets nobody in from the next request on, on open connections too', async () => {
  using revoked = line()
  using other = line()
  const join = async (over: HeaderLine, frame: Uint8Array, name: string) =>
    (await over.join(frame, device.identity, NET_ID, shows(name))).ResultCode
  // Twice: a connection that was used once only is closed soon.
  for (const frame of [await device.joinRequest(), await device.joinRequest()])
    for (const [over, name] of [
      [revoked, 'basic'],
      [other, 'bearer'],
    ] as const)
      expect(await join(over, frame, name)).toBe('Success')
  const ports = [revoked.port, other.port]
  const tokens = (await installation.json('peer', 'token', 'list', NET_ID)) as { digest: string; header: string }[]
  expect(tokens.map(({ header }) => header)).toEqual(['authorization', 'authorization', OWN_HEADER.toLowerCase()])
  await installation.mortise('peer', 'token', 'remove', NET_ID, tokens[1]!.digest, '--yes')

  const frame = await device.joinRequest()
  expect(await join(revoked, frame, 'basic')).toBe('UnknownSender')
  expect(await join(other, frame, 'bearer')).toBe('Success')
  expect([revoked.port, other.port]).toEqual(ports)
})

test('the token of a disabled peer is refused as such, on open connections too', async () => {
  using open = line()
  const ask = async () => open.join(await device.joinRequest(), device.identity, DISABLED_NET_ID, shows('disabled'))
  for (let times = 0; times < 2; times++) expect(await ask()).toMatchObject({ ResultCode: 'Success' })
  const { port } = open
  await installation.mortise('peer', 'disable', DISABLED_NET_ID, '--yes')
  expect(await ask()).toEqual({ ResultCode: 'UnknownSender', Description: 'the peer is disabled' })
  expect(open.port).toBe(port)
})

test('a certificate of the peer that has expired stays refused, whatever token comes with it', async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(root, name)) as [string, string]
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=ns', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...options, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  await installation.mortise('peer', 'certificate', 'add', NET_ID, '--certificate', cert)
  const credentials = { cert: readFileSync(cert), key: readFileSync(key) }
  const frames = [await device.joinRequest(), await device.joinRequest()] as const
  const ask = async (frame: Uint8Array, certificate?: typeof credentials) => {
    using over = line(certificate)
    return await over.join(frame, device.identity, NET_ID, shows('bearer'))
  }
  expect(await ask(frames[0], credentials)).toMatchObject({ ResultCode: 'Success' })
  clock.set(3)
  const expired = { ResultCode: 'UnknownSender', Description: 'the client certificate is outside its validity' }
  expect(await ask(frames[1], credentials)).toEqual(expired)
  expect(await ask(frames[1])).toMatchObject({ ResultCode: 'Success' })
})

test('a token stands in the file for its peer, and nowhere else', async () => {
  const needle = ((await installation.json('peer', 'list')) as { peerId: string }[])[0]!.peerId
  const secrets = Array.from(given, ([name, { token }]): [string, Buffer][] => [
    [name, Buffer.from(token)],
    [`${name}, random bytes`, Buffer.from(token.slice('mortise_'.length), 'base64url')],
  ])
  const all = new SecretSearch(new Map([...secrets.flat(), ['needle', Buffer.from(needle, 'hex')]]))
  const only = (found: readonly string[]) => found.filter((hit) => !hit.startsWith('needle '))

  const hits = searchFiles(installation.root, all)
  expect(hits.join()).toMatch(/needle \(raw\) in data\/mortise\.db/)
  for (const name of given.keys()) {
    const files = only(hits).filter((hit) => hit.startsWith(`${name} `) || hit.startsWith(`${name}, `))
    expect(new Set(files.map((hit) => hit.slice(hit.lastIndexOf(' ') + 1)))).toEqual(new Set([`${name}.header`]))
  }
  const [first] = given.values()
  const planted = join(installation.data, 'planted')
  writeFileSync(planted, `{"header":"${first!.value}"}`)
  expect(searchFiles(installation.data, all)).toContain('bearer (raw) in planted')
  rmSync(planted)

  const said = [installation.transcript, server.output].join('\n')
  expect(said).toContain('UnknownSender')
  expect(all.findInText(said)).toEqual(['needle (hex)'])
  for (const path of ['/api/v1/peers', '/api/v1/orders?state=adopted', '/metrics']) {
    const { text } = await askApi(server, installation, { path })
    expect(only(all.findInText(text))).toEqual([])
    expect(all.findInText(text).length > 0).toBe(path === '/api/v1/peers')
  }
  for (const pid of [server.pid, ...descendantsOf(server.pid).map(({ pid }) => pid)]) {
    expect(all.find(readFileSync(`/proc/${pid}/cmdline`))).toEqual([])
    const environment = environmentOf(pid)
    if (environment !== undefined) expect(all.find(environment)).toEqual([])
  }
  expect(all.findInText(`${said}${first!.value}`)).toContain('bearer (raw)')
})
