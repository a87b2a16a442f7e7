import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { HttpSink } from '../../src/sinks/http-sink.ts'
import { createSinks } from '../../src/sinks/index.ts'
import { StdoutSink } from '../../src/sinks/stdout-sink.ts'
import { SILENT } from '../../src/log.ts'
import { TestCertificate } from '../certificates.ts'
import { until } from '../until.ts'
import { MESSAGE, OTHER_MESSAGE } from './messages.ts'

interface Post {
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** An application that is posted to; `answer` gives the status, or 0 to hang up. */
async function receiver(answer: () => number, certificate?: TestCertificate) {
  const posts: Post[] = []
  const server =
    certificate === undefined ? createServer() : createTlsServer({ cert: certificate.cert, key: certificate.key })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    void text(request).then((body) => {
      posts.push({ url: request.url, headers: request.headers, body })
      const status = answer()
      if (status === 0) request.socket.destroy()
      else response.writeHead(status, { location: '/elsewhere' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    posts,
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function newSink(url: string, more: Partial<ConstructorParameters<typeof HttpSink>[0]> = {}): HttpSink {
  return new HttpSink({ service: { url }, shape: 'reading', contentType: 'application/json', ...more })
}

describe('readings posted to an application', () => {
  test('have the token, and are JSON', async () => {
    await using application = await receiver(() => 204)
    const service = { url: `${application.url}/take?a=1`, token: Buffer.from('planted-token') }
    await using sink = newSink('', { service })
    await sink.deliver(MESSAGE)
    await sink.deliver(OTHER_MESSAGE)
    expect(application.posts).toHaveLength(1)
    expect(application.posts[0]).toMatchObject({
      url: '/take?a=1',
      headers: { authorization: 'Bearer planted-token', 'content-type': 'application/json' },
      body: JSON.stringify(MESSAGE.reading),
    })
    expect(sink.name).not.toMatch(/token|take|a=1/)
  })

  test('in the shape of the source are its events, in its encoding', async () => {
    await using application = await receiver(() => 200)
    await using sink = newSink(application.url, { shape: 'source', contentType: 'application/octet-stream' })
    await sink.deliver(MESSAGE)
    await sink.deliver(OTHER_MESSAGE)
    expect(application.posts.map(({ body }) => body)).toEqual(
      [MESSAGE, OTHER_MESSAGE].map(({ event }) => String(event.body)),
    )
    expect(application.posts[0]?.headers['content-type']).toBe('application/octet-stream')
  })

  test.each([
    [400, 'sink_refused'],
    [409, 'sink_refused'],
    [413, 'sink_refused'],
    [422, 'sink_refused'],
    [301, 'sink_busy'],
    [401, 'sink_busy'],
    [403, 'sink_busy'],
    [404, 'sink_busy'],
    [408, 'sink_busy'],
    [425, 'sink_busy'],
    [429, 'sink_busy'],
    [500, 'sink_busy'],
    [503, 'sink_busy'],
    [0, 'sink_failed'],
  ])('that are answered with %d: %s, and the next one passes', async (status, code) => {
    const answers = [status, 200]
    await using application = await receiver(() => answers.shift() ?? 200)
    await using sink = newSink(application.url)
    await expect(sink.deliver(MESSAGE)).rejects.toMatchObject({ code })
    expect(sink.problem === undefined).toBe(code === 'sink_refused')
    await sink.deliver(MESSAGE)
    expect(sink.problem).toBeUndefined()
  })

  test('are taken when the answer is long', async () => {
    const server = createServer((_request, response) => response.end(Buffer.alloc(1_000_000, 'x'))).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    await using sink = newSink(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await sink.deliver(MESSAGE)
    await sink.deliver(MESSAGE)
    server.closeAllConnections()
    server.close()
  })

  test('that are not answered in time have failed', async () => {
    await using application = await receiver(() => 200)
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    await using sink = newSink(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, { timeoutMs: 100 })
    await expect(sink.deliver(MESSAGE)).rejects.toMatchObject({ code: 'sink_failed' })
    expect(sink.problem).toContain('TimeoutError')
    silent.closeAllConnections()
    silent.close()
    await using other = newSink(application.url)
    await other.deliver(MESSAGE)
  })

  test('by TLS demand a certificate that its CA signed', async () => {
    using certificate = new TestCertificate()
    await using application = await receiver(() => 200, certificate)
    await using wrong = newSink(application.url)
    await expect(wrong.deliver(MESSAGE)).rejects.toMatchObject({ code: 'sink_failed' })
    await using right = newSink('', { service: { url: application.url, ca: certificate.cert } })
    await right.deliver(MESSAGE)
  })

  test.each([
    ['no TLS to another machine', { url: 'http://192.0.2.1/' }],
    ['another scheme', { url: 'ftp://127.0.0.1/' }],
    ['credentials in the URL', { url: 'https://user:secret@example.com/' }],
    ['a token with a line break', { url: 'https://example.com/', token: Buffer.from('a\r\nb') }],
  ])('are refused with %s', async (_what, service) => {
    expect(() => newSink('', { service })).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    await newSink('https://example.com/')[Symbol.asyncDispose]()
  })
})

describe('readings on standard output', () => {
  test('are lines, one at a time', async () => {
    const stream = new PassThrough()
    await using sink = new StdoutSink(stream)
    await sink.start()
    await sink.deliver(MESSAGE)
    await sink.deliver(OTHER_MESSAGE)
    await sink.deliver(MESSAGE)
    const line = `${JSON.stringify(MESSAGE.reading)}\n`
    expect(String(stream.read())).toBe(line + line)
  })

  test('wait for a reader that is slow', async () => {
    const held: (() => void)[] = []
    const stream = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => void held.push(done) })
    await using sink = new StdoutSink(stream)
    await sink.start()
    let delivered = 0
    for (const message of [MESSAGE, MESSAGE]) void sink.deliver(message).then(() => (delivered += 1))
    await until(() => held.length === 1)
    expect(delivered).toBe(0)
    held[0]?.()
    await until(() => held.length === 2 && delivered === 1)
    held[1]?.()
    await until(() => delivered === 2)
  })

  test('have failed when nobody reads any more', async () => {
    const stream = new Writable({
      write: (_chunk, _encoding, done) => {
        done(new Error('EPIPE'))
      },
    })
    await using sink = new StdoutSink(stream)
    await sink.start()
    await expect(sink.deliver(MESSAGE)).rejects.toMatchObject({ code: 'sink_failed' })
    expect(sink.problem).toBe('stdout: EPIPE')
  })
})

describe('the sinks of a configuration', () => {
  const mqtt = { url: 'mqtt://127.0.0.1:1883', clientId: 'bridge' }
  const source = { kind: 'chirpstack', name: 'c', encoding: 'json', mqtt: { ...mqtt, topic: '#' } } as const
  const sink = { kind: 'mqtt', shape: 'source', topic: '' } as const

  test.each([
    ['on the broker of the source, which would read them again', [{ ...sink, mqtt: { ...mqtt, clientId: 'other' } }]],
    ['under the name of the source', [{ ...sink, shape: 'reading' as const, topic: 'r', mqtt }]],
    ['twice the same', [{ kind: 'stdout' as const }, { kind: 'stdout' as const }]],
  ])('are refused %s', (_what, sinks) => {
    expect(() => createSinks({ source, sinks }, SILENT)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
  })

  test('may be several', () => {
    const elsewhere = { ...sink, mqtt: { ...mqtt, url: 'mqtt://127.0.0.1:1884' } }
    const beside = { ...sink, shape: 'reading' as const, topic: 'r', mqtt: { ...mqtt, clientId: 'other' } }
    const names = createSinks({ source, sinks: [elsewhere, beside, { kind: 'stdout' }] }, SILENT).map(
      ({ name }) => name,
    )
    expect(names).toEqual(['mqtt://127.0.0.1:1884 as source', 'mqtt://127.0.0.1:1883 r', 'stdout'])
  })
})
