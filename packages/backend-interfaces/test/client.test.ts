import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import {
  type AppSKeyReqToSend,
  type ClientOptions,
  createClient,
  encodeAppSKeyAns,
  encodeFailure,
  encodeJoinAns,
  type JoinReqToSend,
  MAX_BODY_BYTES,
  parseAppSKeyReq,
  parseJoinReq,
  parseMessage,
} from '@mortise/backend-interfaces'
import { hexToBytes, parseDevAddr, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from './certificates.ts'
import { STANDARD } from './messages.ts'

const JOIN: JoinReqToSend = {
  protocolVersion: '1.0',
  senderId: parseNetId('000013'),
  receiverId: parseJoinEui('70b3d57ed0000000'),
  macVersion: '1.0.3',
  phyPayload: hexToBytes('00000000d07ed5b370de55e897c8d148290100bbcc0b96'),
  devEui: parseDevEui('2948d1c897e855de'),
  devAddr: parseDevAddr('264e6866'),
  dlSettings: 0x12,
  rxDelay: 3,
}

const APP_S_KEY: AppSKeyReqToSend = {
  protocolVersion: '1.1',
  senderId: 'as.test',
  receiverId: JOIN.receiverId,
  devEui: JOIN.devEui,
  sessionKeyId: hexToBytes('5260f853'),
}

const OUTCOME = {
  phyPayload: new Uint8Array(17).fill(0x20),
  networkKeys: { nwkSKey: { aesKey: new Uint8Array(16).fill(0xa1) } },
  appSKey: { kekLabel: 'as', aesKey: new Uint8Array(24).fill(0xa2) },
  sessionKeyId: APP_S_KEY.sessionKeyId,
  lifetime: 0,
}

function commonName({ socket }: IncomingMessage): string {
  return socket instanceof TLSSocket ? String(socket.getPeerCertificate().subject.CN) : 'no TLS'
}

type Handler = (request: IncomingMessage, body: Buffer, response: ServerResponse) => void

/** Answers as a join server would. */
const joinServer: Handler = (_, body, response) => {
  const message = parseMessage(body, STANDARD)
  if (message.kind !== 'message') throw new Error(message.kind)
  const { header, members } = message
  if (header.messageType === 'JoinReq') {
    parseJoinReq(header, members)
    response.end(encodeJoinAns(header, OUTCOME, STANDARD))
  } else {
    const { devEui, sessionKeyId } = parseAppSKeyReq(header, members)
    response.end(encodeAppSKeyAns(header, { devEui, sessionKeyId, appSKey: OUTCOME.appSKey }))
  }
}

describe('the client over mutual TLS', () => {
  let certificates: Certificates
  let server: Server
  let handler: Handler
  const seen: { peer: string; path: string | undefined; contentType: string | undefined }[] = []
  let connections = 0

  beforeAll(async () => {
    certificates = await makeCertificates()
    const tls = { ...certificates.server, ca: certificates.ca, requestCert: true, rejectUnauthorized: true }
    server = createServer(tls, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        seen.push({ peer: commonName(request), path: request.url, contentType: request.headers['content-type'] })
        handler(request, Buffer.concat(chunks), response)
      })
    })
    server.on('secureConnection', () => (connections += 1))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })

  afterAll(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })

  beforeEach(() => {
    handler = joinServer
    seen.length = 0
    connections = 0
  })

  function client(changes: Partial<ClientOptions> = {}) {
    const { port } = server.address() as AddressInfo
    const { ca, client: identity } = certificates
    return createClient({ url: `https://127.0.0.1:${port}/bi?x=1`, ca, ...identity, timeoutMs: 5000, ...changes })
  }

  it('joins, and gives the answer', async () => {
    await using ns = client()
    expect(await ns.joinReq(JOIN)).toMatchObject({ resultCode: 'Success', ...OUTCOME })
    expect(seen).toEqual([{ peer: 'client', path: '/bi?x=1', contentType: 'application/json' }])
  })

  it('fetches an AppSKey', async () => {
    await using as = client()
    expect(await as.appSKeyReq(APP_S_KEY)).toMatchObject({
      resultCode: 'Success',
      devEui: JOIN.devEui,
      appSKey: OUTCOME.appSKey,
    })
  })

  it('uses its connections again, and numbers every request differently', async () => {
    const requests: string[] = []
    await using ns = client({ onExchange: (request) => requests.push(request) })
    for (let i = 0; i < 20; i += 1) await ns.joinReq(JOIN)
    // undici opens a second one when a request follows before the first socket is marked free again.
    expect(connections).toBeLessThanOrEqual(2)
    const ids = requests.map((text) => (JSON.parse(text) as { TransactionID: number }).TransactionID)
    expect(new Set(ids).size).toBe(20)
  })

  it('returns a refusal as an answer', async () => {
    handler = (_, body, response) => {
      const message = parseMessage(body, STANDARD)
      if (message.kind === 'message')
        response.end(encodeFailure(message.header, 'MICFailed', 'The MIC is wrong.', STANDARD))
    }
    await using ns = client()
    expect(await ns.joinReq(JOIN)).toMatchObject({ resultCode: 'MICFailed', description: 'The MIC is wrong.' })
  })

  it('shows every exchange to onExchange', async () => {
    const exchanges: [string, string][] = []
    await using ns = client({ onExchange: (request, answer) => exchanges.push([request, answer]) })
    await ns.joinReq(JOIN)
    expect(exchanges).toHaveLength(1)
    expect(exchanges[0]![0]).toContain('"PHYPayload":"00000000d07ed5b370de55e897c8d148290100bbcc0b96"')
    expect(exchanges[0]![1]).toContain(`"PHYPayload":"${'20'.repeat(17)}"`)
  })

  it('posts raw bodies and gives the answer whatever its status', async () => {
    handler = (request, body, response) => {
      response.writeHead(418, { 'content-type': 'text/plain' })
      response.end(`${request.headers['content-type'] ?? 'none'} ${body.toString('hex')}`)
    }
    await using ns = client()
    const answer = await ns.post(Uint8Array.of(0xff, 0x00), { 'content-type': 'text/html' })
    expect(answer).toMatchObject({ status: 418, contentType: 'text/plain' })
    expect(Buffer.from(answer.body).toString()).toBe('text/html ff00')
  })

  it.each<[string, string, Handler]>([
    ['a status that is not 2xx', 'http_status', (_request, _body, response) => response.writeHead(400).end('{}')],
    ['a redirect', 'http_status', (_request, _body, response) => response.writeHead(307, { location: '/' }).end()],
    ['HTML', 'not_json', (_request, _body, response) => response.end('<html>')],
    ['an empty body', 'not_json', (_request, _body, response) => response.writeHead(204).end()],
    [
      'an answer without end',
      'connection',
      (_request, _body, response) => response.end(' '.repeat(MAX_BODY_BYTES + 1)),
    ],
    ['a dropped connection', 'connection', (request) => request.socket.destroy()],
    [
      'the answer to another request',
      'unexpected_message',
      (request, body, response) => {
        joinServer(request, Buffer.from(body.toString().replace(/"TransactionID":\d+/, '"TransactionID":1')), response)
      },
    ],
    [
      'an answer in another version',
      'unexpected_message',
      (request, body, response) => {
        joinServer(request, Buffer.from(body.toString().replace('"1.0"', '"1.1"')), response)
      },
    ],
  ])('names %s', async (_, code, answer) => {
    handler = answer
    await using ns = client()
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ name: 'AnswerError', code })
  })

  it('gives up after timeoutMs', async () => {
    handler = () => undefined
    const ns = client({ timeoutMs: 200 })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ name: 'AnswerError', code: 'timeout' })
    await ns.close()
  })

  it('gives up after timeoutMs when a server accepts the connection and says nothing', async () => {
    const sockets: Socket[] = []
    const silent = createTcpServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const ns = client({ url: `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`, timeoutMs: 200 })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'timeout' })
    await ns.close()
    for (const socket of sockets) socket.destroy()
    silent.close()
    await once(silent, 'close')
  })

  it('names a port on which nobody listens', async () => {
    const unused = createTcpServer().listen(0, '127.0.0.1')
    await once(unused, 'listening')
    const { port } = unused.address() as AddressInfo
    unused.close()
    await once(unused, 'close')
    await using ns = client({ url: `https://127.0.0.1:${port}/` })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'connection' })
  })

  it('refuses a server whose certificate another authority signed', async () => {
    await using ns = client({ ca: certificates.otherCa })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'connection' })
    expect(seen).toEqual([])
  })

  it('refuses a server whose certificate is for another name', async () => {
    const { port } = server.address() as AddressInfo
    await using ns = client({ url: `https://127.0.0.2:${port}/` })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'connection' })
    await using named = client({ url: `https://localhost:${port}/` })
    expect(await named.joinReq(JOIN)).toMatchObject({ resultCode: 'Success' })
  })

  it('is refused when another authority signed its own certificate', async () => {
    await using ns = client({ ...certificates.otherClient })
    await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'connection' })
    expect(seen).toEqual([])
  })

  it('survives a key on a curve without a NIST name, on which Node ends with a segmentation fault', async () => {
    const { ca, brainpoolServer, server: usual } = certificates
    server.setSecureContext({ ...brainpoolServer, ca })
    try {
      await using ns = client()
      expect(await ns.joinReq(JOIN)).toMatchObject({ resultCode: 'Success' })
    } finally {
      server.setSecureContext({ ...usual, ca })
    }
  })

  it('speaks no plain http', () => {
    expect(() => client({ url: 'http://127.0.0.1/' })).toThrow(TypeError)
  })
})
