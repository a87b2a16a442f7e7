import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtempSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { decodeDeviceRecord, decodeKekRecord } from '@mortise/hsm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createManagementApi, type ManagementApi, PROBLEM_MEDIA_TYPE } from '../../src/http/management-api/index.ts'
import { ApiKeys, newApiKey } from '../../src/identity/index.ts'
import { type Administration, LocalAdministration, type PeerView } from '../../src/kms/index.ts'
import type { Storage } from '../../src/storage/index.ts'
import { makeCertificate, type TestCertificate } from '../support/certificates.ts'
import { startHsm, type TestHsm } from '../support/hsm.ts'
import { ask, type HttpsAnswer, type HttpsClient, type HttpsRequest } from '../support/https.ts'
import { buildOrder, deviceAdd, kekSet, type OrderContent, peerAdd } from '../support/orders.ts'
import { openOrCreate, startServer, type TestServer } from '../support/server.ts'

let hsm: TestHsm
let server: TestServer
let tls: TestCertificate
let cleanup: AsyncDisposableStack
let client: HttpsClient
let readiness = { ready: true, reasons: [] as string[] }

beforeAll(async () => {
  cleanup = new AsyncDisposableStack()
  tls = makeCertificate('localhost')
  hsm = cleanup.use(await startHsm())
  server = cleanup.use(await startServer(hsm))
  await server.reached('ready')
  client = await serveApi(server.administration, server.storage)
})
afterAll(() => cleanup.disposeAsync())

/** A listening API with a valid API key. */
async function serveApi(administration: Administration, storage: Storage): Promise<HttpsClient> {
  const { token, apiKey } = newApiKey('test')
  await storage.administration.createApiKey(apiKey)
  const api: ManagementApi = createManagementApi({
    tls,
    administration,
    apiKeys: new ApiKeys(storage.administration),
    readiness: () => readiness,
    metrics: { render: () => 'mortise_devices 1\n' },
  })
  const { port } = await api.listen('127.0.0.1', 0)
  cleanup.defer(() => api.close())
  return { port, ca: tls.cert, token }
}

const anonymous = (): HttpsClient => ({ port: client.port, ca: client.ca })

async function nextOrder(content: Omit<OrderContent, 'sequence'>) {
  const { nextSequence } = await server.administration.status()
  return buildOrder(hsm.operator, hsm, { sequence: nextSequence, ...content })
}

async function submit(content: Omit<OrderContent, 'sequence'>): Promise<HttpsAnswer> {
  return ask(client, '/api/v1/orders', { method: 'POST', body: await nextOrder(content) })
}

function expectProblem(answer: HttpsAnswer, status: number, code: string): void {
  expect(answer).toMatchObject({ status, json: { status, code, type: `urn:mortise:problem:${code}` } })
  expect(answer.headers['content-type']).toContain(PROBLEM_MEDIA_TYPE)
}

describe('without a valid API key', () => {
  const routes: [string, HttpsRequest][] = [
    ['/api/v1/status', {}],
    ['/api/v1/orders', { method: 'POST', body: {} }],
    ['/api/v1/orders?state=waiting', {}],
    ['/api/v1/peers', {}],
    ['/api/v1/keks', {}],
    ['/api/v1/devices', {}],
    ['/api/v1/devices/0004a30b001a2b3c', {}],
    ['/api/v1/api-keys', {}],
    ['/api/v1/api-keys', { method: 'POST', body: { name: 'x' } }],
    ['/api/v1/api-keys/00', { method: 'DELETE' }],
    ['/api/v1/openapi.json', {}],
    ['/metrics', {}],
    ['/nothing', {}],
  ]

  it.each(routes)('%s %j is refused, and with one it is not', async (path, request) => {
    expectProblem(await ask(anonymous(), path, request), 401, 'unauthenticated')
    expect((await ask(client, path, request)).status).not.toBe(401)
  })

  it.each<[string, (token: string) => Record<string, string>]>([
    ['another token', () => ({ authorization: `Bearer ${newApiKey('stranger').token}` })],
    ['a token that lacks its last character', (token) => ({ authorization: `Bearer ${token.slice(0, -1)}` })],
    ['the token in another scheme', (token) => ({ authorization: `Basic ${token}` })],
    ['an empty header', () => ({ authorization: '' })],
    ['something after the token', (token) => ({ authorization: `Bearer ${token} ${token}` })],
  ])('refuses %s', async (_name, headers) => {
    const { token = '' } = client
    expectProblem(await ask(anonymous(), '/api/v1/status', { headers: headers(token) }), 401, 'unauthenticated')
    expect((await ask(client, '/api/v1/status')).status).toBe(200)
  })

  it('answers /livez and /readyz', async () => {
    expect(await ask(anonymous(), '/livez')).toMatchObject({ status: 200, json: { live: true } })
    expect(await ask(anonymous(), '/readyz')).toMatchObject({ status: 200, json: { ready: true, reasons: [] } })
    readiness = { ready: false, reasons: ['HSM: sealed'] }
    expect(await ask(anonymous(), '/readyz')).toMatchObject({ status: 503, json: readiness })
    readiness = { ready: true, reasons: [] }
  })
})

describe('API keys', () => {
  it('are made, listed without their token, and of no use once revoked', async () => {
    const created = await ask(client, '/api/v1/api-keys', { method: 'POST', body: { name: 'a second one' } })
    expect(created.status).toBe(201)
    const { apiKeyId, token } = created.json as { apiKeyId: string; token: string }
    expect(created.headers['cache-control']).toBe('no-store')
    expect(token).toMatch(/^mortise_[A-Za-z0-9_-]{43}$/)
    const second = { ...client, token }
    const list = await ask(second, '/api/v1/api-keys')
    expect(list.json).toMatchObject({
      apiKeys: expect.arrayContaining([expect.objectContaining({ apiKeyId, name: 'a second one' })]) as unknown,
    })
    expect(list.text).not.toContain(token)

    expect((await ask(client, `/api/v1/api-keys/${apiKeyId}`, { method: 'DELETE' })).status).toBe(204)
    expectProblem(await ask(second, '/api/v1/status'), 401, 'unauthenticated')
    expectProblem(await ask(client, `/api/v1/api-keys/${apiKeyId}`, { method: 'DELETE' }), 404, 'api_key_unknown')
  })
})

describe('orders', () => {
  it('are adopted, and what they changed is seen', async () => {
    const certificate = makeCertificate('ns.example')
    const [device, kek, peer] = [
      deviceAdd(server.owner),
      kekSet(server.owner),
      peerAdd(certificate.fingerprint, { id: '0000a1' }),
    ]
    const answer = await submit({
      changes: [device, kek, peer],
      keys: [randomBytes(16)],
      certificates: [certificate.cert],
    })
    expect(answer).toMatchObject({ status: 200, json: { state: 'adopted' } })
    const found = await ask(client, `/api/v1/devices/${device.devEui.toUpperCase()}`)
    expect(found.json).toMatchObject({ devices: [{ deviceId: device.device, macVersion: '1.0.3' }] })
    expect((await ask(client, '/api/v1/keks')).json).toMatchObject({ keks: [{ kekId: kek.kek, version: 1 }] })
    expect((await ask(client, '/api/v1/peers')).json).toMatchObject({
      peers: [
        { peerId: peer.peer, certificates: [{ fingerprint: certificate.fingerprint, subject: 'CN=ns.example' }] },
      ],
    })
    expect((await ask(client, '/api/v1/status')).json).toMatchObject({
      running: true,
      organisationId: server.owner,
      hsm: { state: 'ready', hsmId: hsm.hsmId, backend: 'soft', workers: 1 },
    })
  })

  it('that are refused are problems with the code of the refusal', async () => {
    const device = deviceAdd(server.owner)
    expect((await submit({ changes: [device], keys: [randomBytes(16)] })).status).toBe(200)
    expectProblem(await submit({ changes: [device], keys: [randomBytes(16)] }), 409, 'device_exists')
    expectProblem(await submit({ changes: [deviceAdd(server.owner)] }), 422, 'envelope_damaged')
    const order = await nextOrder({ changes: [deviceAdd(server.owner)], keys: [randomBytes(16)] })
    const altered = { ...order, text: order.text.replace('app.example', 'app.evil') }
    expectProblem(
      await ask(client, '/api/v1/orders', { method: 'POST', body: altered }),
      403,
      'order_signature_invalid',
    )
    expect((await ask(client, '/api/v1/orders?state=refused')).json).toMatchObject({
      orders: [{ state: 'refused', code: 'envelope_damaged' }],
    })
  })

  it('wait with 202 where the HSM cannot be asked', async () => {
    const offline = await serveOffline()
    const order = buildOrder(hsm.operator, hsm, {
      sequence: 1,
      changes: [deviceAdd(offline.owner)],
      keys: [randomBytes(16)],
    })
    const answer = await ask(offline.client, '/api/v1/orders', { method: 'POST', body: order })
    expect(answer).toMatchObject({ status: 202, json: { state: 'waiting' } })
    expect((await ask(offline.client, '/api/v1/orders?state=waiting')).json).toMatchObject({
      orders: [{ sequence: 1 }],
    })
  })
})

describe('devices', () => {
  it('come in pages, in order of DevEUI', async () => {
    const offline = await startDevices(5)
    const first = (await ask(client, '/api/v1/devices?limit=3')).json as { devices: { devEui: string }[]; next: string }
    const rest = (await ask(client, `/api/v1/devices?limit=1000&after=${first.next}`)).json as typeof first
    expect(first.devices).toHaveLength(3)
    expect(rest.next).toBeUndefined()
    const euis = [...first.devices, ...rest.devices].map(({ devEui }) => devEui)
    expect(euis).toEqual([...euis].sort())
    expect(euis).toEqual(expect.arrayContaining(offline))
  })

  it('with an unknown DevEUI are an empty list', async () => {
    expect(await ask(client, '/api/v1/devices/ffffffffffffffff')).toMatchObject({ status: 200, json: { devices: [] } })
  })

  async function startDevices(count: number): Promise<string[]> {
    const adds = Array.from({ length: count }, () => deviceAdd(server.owner))
    expect((await submit({ changes: adds, keys: [randomBytes(16)] })).status).toBe(200)
    return adds.map(({ devEui }) => devEui)
  }
})

describe('a request that is not as the schema says is refused:', () => {
  const good: HttpsRequest = { method: 'POST', body: { name: 'good' } }
  const json = { 'content-type': 'application/json' }

  it.each<[string, number, string, string, HttpsRequest]>([
    ['an unknown member', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: { name: 'x', admin: true } }],
    ['a member of another type', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: { name: 7 } }],
    ['a missing member', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: {} }],
    ['an array', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: [] }],
    [
      'a name that is too long',
      400,
      'request_malformed',
      '/api/v1/api-keys',
      { ...good, body: { name: 'x'.repeat(65) } },
    ],
    ['a name with a line break', 400, 'api_key_name_invalid', '/api/v1/api-keys', { ...good, body: { name: 'a\nb' } }],
    ['no body', 400, 'request_malformed', '/api/v1/api-keys', { method: 'POST' }],
    ['an empty body', 400, 'request_malformed', '/api/v1/api-keys', { method: 'POST', headers: json }],
    ['truncated JSON', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: '{"name":"x"' }],
    ['a body of two documents', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: '{"name":"x"}{}' }],
    ['deep nesting', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: '['.repeat(100_000) }],
    ['__proto__', 400, 'request_malformed', '/api/v1/api-keys', { ...good, body: '{"name":"x","__proto__":{}}' }],
    [
      'plain text',
      415,
      'media_type_unsupported',
      '/api/v1/api-keys',
      { ...good, headers: { 'content-type': 'text/plain' } },
    ],
    [
      'a form',
      415,
      'media_type_unsupported',
      '/api/v1/api-keys',
      { ...good, headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    ],
    [
      'a body beyond the limit',
      413,
      'request_body_too_large',
      '/api/v1/orders',
      { method: 'POST', body: 'x'.repeat(4 * 1024 * 1024 + 1) },
    ],
    [
      'an order without signatures',
      400,
      'request_malformed',
      '/api/v1/orders',
      { method: 'POST', body: { text: '{}', signatures: [] } },
    ],
    ['an unknown query', 400, 'request_malformed', '/api/v1/status?verbose=1', {}],
    ['a page that is too large', 400, 'request_malformed', '/api/v1/devices?limit=1001', {}],
    ['a page of nothing', 400, 'request_malformed', '/api/v1/devices?limit=0', {}],
    ['a page after nothing', 400, 'request_malformed', '/api/v1/devices?after=x', {}],
    ['orders without a state', 400, 'request_malformed', '/api/v1/orders', {}],
    ['orders that were adopted', 400, 'request_malformed', '/api/v1/orders?state=adopted', {}],
    ['a DevEUI that is none', 400, 'request_malformed', '/api/v1/devices/0004', {}],
    ['a path that is malformed', 400, 'request_malformed', '/api/v1/devices/%zz', {}],
    ['a path that is not there', 404, 'not_found', '/api/v2/status', {}],
    ['a method that is not there', 404, 'not_found', '/api/v1/status', { method: 'PUT', body: {} }],
  ])('%s (%i %s)', async (_name, status, code, path, request) => {
    expectProblem(await ask(client, path, request), status, code)
    expect((await ask(client, '/api/v1/api-keys', good)).status).toBe(201)
  })
})

it('tells an address that sent too many wrong tokens to stop, and still lets a valid one in', async () => {
  const { client: other } = await serveOffline()
  const stranger = { ...other, token: newApiKey('stranger').token }
  for (let attempt = 0; attempt < 30; attempt++)
    expectProblem(await ask(stranger, '/api/v1/status'), 401, 'unauthenticated')
  const blocked = await ask(stranger, '/api/v1/status')
  expectProblem(blocked, 429, 'too_many_attempts')
  expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(0)
  expect((await ask(other, '/api/v1/status')).status).toBe(200)
  expectProblem(await ask({ ...other, token: undefined }, '/api/v1/status'), 429, 'too_many_attempts')
  expect((await ask(other, '/livez')).status).toBe(200)
})

it('serves metrics as the Prometheus text format', async () => {
  const answer = await ask(client, '/metrics')
  expect(answer).toMatchObject({ status: 200, text: 'mortise_devices 1\n' })
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
})

it('serves the OpenAPI document that packages/server/openapi.json has a copy of', async () => {
  const { json } = await ask(client, '/api/v1/openapi.json')
  const golden: unknown = JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8'))
  expect(json).toEqual(golden)
})

describe('what leaves the server', () => {
  it('is only what the schema names', async () => {
    const needle = randomBytes(16).toString('hex')
    const leaking: Administration = Object.assign(Object.create(server.administration) as Administration, {
      listPeers: () =>
        Promise.resolve([
          {
            ...{ ...PEER, record: needle, tokens: PEER.tokens.map((shown) => ({ ...shown, value: needle })) },
            certificates: PEER.certificates.map((shown) => ({ ...shown, pem: needle })),
          },
        ]),
    })
    const { text, json } = await ask(await serveApi(leaking, server.storage), '/api/v1/peers')
    expect(json).toEqual({ peers: [PEER] })
    expect(text).not.toContain(needle)
  })

  it('is a problem without detail when the server has a defect', async () => {
    const needle = randomBytes(16).toString('hex')
    const failing: Administration = Object.assign(Object.create(server.administration) as Administration, {
      listPeers: () => Promise.reject(new Error(needle)),
      listKeks: () => Promise.resolve([{ kekId: needle }]),
    })
    const other = await serveApi(failing, server.storage)
    for (const path of ['/api/v1/peers', '/api/v1/keks']) {
      const answer = await ask(other, path)
      expectProblem(answer, 500, 'internal')
      expect(answer.text).not.toContain(needle)
    }
  })

  it('has no key, key blob, record, envelope or token in it, and a needle is found', async () => {
    const key = randomBytes(16)
    const [device, kek] = [deviceAdd(server.owner), kekSet(server.owner, { label: 'search' })]
    const order = await nextOrder({ changes: [device, kek], keys: [key] })
    const submitted = await ask(client, '/api/v1/orders', { method: 'POST', body: order })
    expect(submitted.status).toBe(200)
    const refused = await nextOrder({ changes: [deviceAdd(server.owner, { appKey: 1 })], keys: [key] })
    const refusal = await ask(client, '/api/v1/orders', { method: 'POST', body: refused })
    expectProblem(refusal, 422, 'envelope_damaged')
    const paths = [
      '/api/v1/status',
      '/api/v1/orders?state=refused',
      '/api/v1/orders?state=waiting',
      '/api/v1/peers',
      '/api/v1/keks',
      '/api/v1/devices?limit=1000',
      `/api/v1/devices/${device.devEui}`,
      '/api/v1/api-keys',
      '/metrics',
    ]
    const answers = await Promise.all(paths.map((path) => ask(client, path)))
    const texts = [submitted, refusal, ...answers].map(({ headers, text }) => JSON.stringify(headers) + text)
    const secrets = [key, ...secretsOf(device.device, kek.kek), ...envelopeSecrets(order.envelope)]
    for (const secret of secrets) expect(texts.filter((text) => hasBytes(text, secret))).toEqual([])
    for (const text of texts) expect(text).not.toContain(client.token)
    // The same search, on what is there to be seen.
    expect(texts.some((text) => hasBytes(text, Buffer.from(device.device, 'hex')))).toBe(true)
    expect(texts.some((text) => text.includes('search'))).toBe(true)
  })

  function secretsOf(device: string, kek: string): Buffer[] {
    const { administration } = server.storage
    const record = administration.findDevice(Buffer.from(device, 'hex'))!.keySets[0]!.record
    const kekRecord = administration.findKek(Buffer.from(kek, 'hex'))!.record
    const { appKey, receiptSalt } = decodeDeviceRecord(record)
    const { tokenHash } = administration.listApiKeys()[0]!
    const tags = [record.subarray(-16), kekRecord.subarray(-16)]
    return [appKey.rootUse, appKey.escrow, receiptSalt, decodeKekRecord(kekRecord).blob, tokenHash, ...tags]
  }

  function envelopeSecrets(envelope: string | undefined): Buffer[] {
    const { transport, keys } = JSON.parse(envelope!) as { transport: string; keys: string[] }
    return [Buffer.from(transport, 'hex'), ...keys.map((key) => Buffer.from(key, 'hex'))]
  }
})

describe('the listener', () => {
  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    await expect(handshake('TLSv1.2')).resolves.toBe('TLSv1.2')
    await expect(handshake('TLSv1.3')).resolves.toBe('TLSv1.3')
    await expect(handshake('TLSv1.1')).rejects.toThrow()
  })

  it('refuses headers beyond its limit with a problem', async () => {
    const withHeader = (length: number) => ask(client, '/api/v1/status', { headers: { 'x-more': 'x'.repeat(length) } })
    expectProblem(await withHeader(8192), 400, 'request_malformed')
    expect((await withHeader(4096)).status).toBe(200)
  })

  it('survives bytes that are no TLS, and a connection that says nothing', async () => {
    const silent = connectTcp(client.port, '127.0.0.1')
    await new Promise<void>((resolve) => {
      const socket = connectTcp(client.port, '127.0.0.1', () => socket.end('GET / HTTP/1.1\r\n\r\n'))
      socket.on('error', () => undefined)
      socket.on('close', () => {
        resolve()
      })
      socket.resume()
    })
    expect((await ask(client, '/livez')).status).toBe(200)
    silent.destroy()
  })

  function handshake(version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): Promise<string | null> {
    return new Promise((resolve, reject) => {
      const versions = { minVersion: version, maxVersion: version }
      const options = {
        port: client.port,
        host: '127.0.0.1',
        ca: client.ca,
        ciphers: 'DEFAULT@SECLEVEL=0',
        ...versions,
      }
      const socket = connectTls(options, () => {
        resolve(socket.getProtocol())
        socket.destroy()
      })
      socket.on('error', reject)
    })
  }
})

const PEER: PeerView = {
  peerId: '00'.repeat(16),
  kind: 'ns',
  id: '000013',
  protocol: '1.0',
  state: 'active',
  certificates: [
    {
      fingerprint: '00'.repeat(32),
      subject: 'CN=x',
      notBefore: '2026-01-01T00:00:00.000Z',
      notAfter: '2027-01-01T00:00:00.000Z',
      addedAt: '2026-01-01T00:00:00.000Z',
    },
  ],
  tokens: [{ digest: '11'.repeat(32), header: 'authorization', addedAt: '2026-01-01T00:00:00.000Z' }],
  createdAt: '2026-01-01T00:00:00.000Z',
}

/** An API over a database of its own, without an HSM. */
async function serveOffline(): Promise<{ client: HttpsClient; owner: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-api-'))
  const storage = openOrCreate(join(directory, 'mortise.db'))
  await storage.administration.recordOperatorPublicKey(hsm.operator.publicKey)
  cleanup.defer(() => {
    storage[Symbol.dispose]()
    rmSync(directory, { recursive: true })
  })
  const administration = new LocalAdministration({ storage: storage.administration })
  const owner = storage.administration.organisationId().toString('hex')
  return { client: await serveApi(administration, storage), owner }
}

/** Whether a text has these bytes in it, as hex or base64 in any alignment and alphabet. */
function hasBytes(text: string, bytes: Buffer): boolean {
  if (text.toLowerCase().includes(bytes.toString('hex'))) return true
  const plain = text.replaceAll('-', '+').replaceAll('_', '/')
  return [0, 1, 2].some((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // The first and last characters also depend on the neighbours.
    return plain.includes(encoded.slice(offset === 0 ? 0 : 4, -4))
  })
}
