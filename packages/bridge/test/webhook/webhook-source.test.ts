import { once } from 'node:events'
import { connect } from 'node:net'
import { Agent, request } from 'undici'
import { describe, expect, test } from 'vitest'
import type { SourceConfig, WebhookListener } from '../../src/config.ts'
import { BridgeError } from '../../src/errors.ts'
import { SILENT } from '../../src/log.ts'
import type { ReceivedEvent } from '../../src/network-event.ts'
import { createSource } from '../../src/networks.ts'
import { WebhookSource } from '../../src/webhook/webhook-source.ts'
import { TestCertificate } from '../certificates.ts'
import { logMessage, topic, UP, UP_TOPIC, upMessage } from '../chirpstack/events.ts'
import { EXAMPLE } from '../owner.ts'
import { JOIN as TTS_JOIN, UP as TTS_UP } from '../the-things-stack/events.ts'

const TOKEN = 'planted-webhook-token'
const LISTENER: WebhookListener = { host: '127.0.0.1', port: 0, token: Buffer.from(TOKEN) }

type Network = Pick<SourceConfig, 'kind' | 'encoding'>
const CHIRPSTACK: Network = { kind: 'chirpstack', encoding: 'json' }

async function listening(network: Network = CHIRPSTACK, listener = LISTENER) {
  const taken: ReceivedEvent[] = []
  const [source] = createSource({ ...network, name: 'n', webhook: listener }, SILENT)
  if (!(source instanceof WebhookSource)) throw new Error('no webhook')
  let refuse = false
  await source.start((event) => {
    if (refuse) return Promise.reject(new BridgeError('queue_full', 'As many events wait as may.'))
    taken.push(event)
    return Promise.resolve()
  })
  const scheme = listener.cert === undefined ? 'http' : 'https'
  return {
    source,
    taken,
    url: `${scheme}://127.0.0.1:${source.address?.port}`,
    full: (is: boolean) => {
      refuse = is
    },
    [Symbol.asyncDispose]: () => source.stop(),
  }
}

interface Post {
  readonly body?: string | Uint8Array
  readonly path?: string
  readonly method?: 'POST' | 'GET'
  readonly headers?: Record<string, string>
  readonly ca?: Buffer
}

async function post(url: string, wanted: Post = {}): Promise<number> {
  const { body = JSON.stringify(UP), path = '/?event=up', method = 'POST', headers, ca } = wanted
  const agent = new Agent({ connect: ca === undefined ? {} : { ca } })
  try {
    const answer = await request(url + path, {
      dispatcher: agent,
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
      ...(method === 'POST' && { body }),
    })
    await answer.body.dump()
    return answer.statusCode
  } finally {
    await agent.destroy()
  }
}

describe('events that ChirpStack posts', () => {
  test('in JSON have the topic of the same event over MQTT', async () => {
    await using one = await listening()
    expect(await post(one.url)).toBe(200)
    expect(one.taken).toEqual([{ topic: UP_TOPIC, body: Buffer.from(JSON.stringify(UP)) }])
    expect(one.source.shape.parse(one.taken[0]!)).toMatchObject({ kind: 'uplink', devEui: EXAMPLE.devEui })
    expect(one.source.problem).toBeUndefined()
  })

  test('in Protobuf as well, of every type', async () => {
    await using one = await listening({ kind: 'chirpstack', encoding: 'protobuf' })
    const headers = { 'content-type': 'application/octet-stream' }
    expect(await post(one.url, { body: upMessage().serializeBinary(), headers })).toBe(200)
    expect(await post(one.url, { body: logMessage().serializeBinary(), headers, path: '/?event=log' })).toBe(200)
    expect(one.taken.map((event) => event.topic)).toEqual([UP_TOPIC, topic('log')])
  })

  test.each<[string, Post, number]>([
    ['without token', { headers: { authorization: '' } }, 401],
    ['with another token', { headers: { authorization: `Bearer ${TOKEN}x` } }, 401],
    ['with the token as password', { headers: { authorization: `Basic ${TOKEN}` } }, 401],
    ['by GET', { method: 'GET' }, 405],
    ['without type', { path: '/' }, 400],
    ['of a type that is a path', { path: '/?event=../up' }, 400],
    ['at a path that no URL has', { path: '//' }, 400],
    ['in another encoding', { headers: { 'content-type': 'application/octet-stream' } }, 400],
    ['that are none', { body: 'x' }, 400],
    ['without device', { body: '{}' }, 400],
    [
      'of an application that is a path',
      { body: JSON.stringify({ deviceInfo: { ...UP.deviceInfo, applicationId: 'a/b' } }) },
      400,
    ],
    [
      'of a device that is a wildcard',
      { body: JSON.stringify({ deviceInfo: { ...UP.deviceInfo, devEui: '+' } }) },
      400,
    ],
    ['that are too large', { body: Buffer.alloc(1_048_577, ' ') }, 413],
  ])('%s are refused', async (_what, wrong, status) => {
    await using one = await listening()
    expect(await post(one.url, wrong)).toBe(status)
    expect(one.taken).toEqual([])
    expect(await post(one.url)).toBe(200)
    expect(one.taken).toHaveLength(1)
  })

  test('that cannot be taken are answered with 503, and may come again', async () => {
    await using one = await listening()
    one.full(true)
    expect(await post(one.url)).toBe(503)
    one.full(false)
    expect(await post(one.url)).toBe(200)
    expect(one.taken).toHaveLength(1)
  })

  test('a body that never ends is cut, and hurts nobody', async () => {
    await using one = await listening()
    const socket = connect(one.source.address?.port ?? 0, '127.0.0.1').on('error', () => undefined)
    socket.write(
      `POST /?event=up HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n`,
    )
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    for (let sent = 0; sent < 20; sent++) socket.write(chunk)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 413/)
    expect(await post(one.url)).toBe(200)
  })

  test('by TLS', async () => {
    using certificate = new TestCertificate()
    await using one = await listening(CHIRPSTACK, { ...LISTENER, cert: certificate.cert, key: certificate.key })
    expect(await post(one.url, { ca: certificate.cert })).toBe(200)
    await expect(post(one.url)).rejects.toThrow('self-signed')
  })
})

describe('events that The Things Stack posts', () => {
  const network: Network = { kind: 'the-things-stack', encoding: 'json' }

  test('have the topic of the same event over MQTT, whatever their path', async () => {
    await using one = await listening(network)
    expect(await post(one.url, { body: JSON.stringify(TTS_UP), path: '/any/path' })).toBe(200)
    expect(await post(one.url, { body: JSON.stringify(TTS_JOIN), path: '/' })).toBe(200)
    expect(one.taken.map((event) => event.topic)).toEqual([
      'v3/doors/devices/door-1/up',
      'v3/doors/devices/door-1/join',
    ])
    expect(one.taken.map((event) => one.source.shape.parse(event).kind)).toEqual(['uplink', 'join'])
  })

  test('of no known kind are refused', async () => {
    await using one = await listening(network)
    const { end_device_ids: ids } = TTS_UP
    expect(await post(one.url, { body: JSON.stringify({ end_device_ids: ids, constructor: {} }) })).toBe(400)
    expect(await post(one.url, { body: JSON.stringify({ end_device_ids: ids, downlink_ack: {} }) })).toBe(200)
  })
})

describe('a listener', () => {
  test.each([
    ['without TLS for other machines', { host: '0.0.0.0' }],
    ['without token', { token: Buffer.alloc(0) }],
  ])('is refused %s', (_what, members) => {
    const config = { ...CHIRPSTACK, name: 'n', webhook: { ...LISTENER, ...members } }
    expect(() => createSource(config, SILENT)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(createSource({ ...config, webhook: LISTENER }, SILENT)).toHaveLength(1)
  })

  test('on a port that is taken cannot begin', async () => {
    await using one = await listening()
    const webhook = { ...LISTENER, port: one.source.address?.port ?? 0 }
    const [second] = createSource({ ...CHIRPSTACK, name: 'n', webhook }, SILENT)
    await expect(second!.start(() => Promise.resolve())).rejects.toMatchObject({ code: 'config_invalid' })
    expect(second!.problem).toContain('not listening')
    await second!.stop()
  })

  test('that stops answers what is under way', async () => {
    const [source] = createSource({ ...CHIRPSTACK, name: 'n', webhook: LISTENER }, SILENT)
    if (!(source instanceof WebhookSource)) throw new Error('no webhook')
    const begun = Promise.withResolvers<undefined>()
    const finish = Promise.withResolvers<undefined>()
    await source.start(async () => {
      begun.resolve(undefined)
      await finish.promise
    })
    const answer = post(`http://127.0.0.1:${source.address?.port}`)
    await begun.promise
    const stopped = source.stop()
    finish.resolve(undefined)
    expect(await answer).toBe(200)
    await stopped
  })
})
