import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import {
  type AnswerInbox,
  type ClientOptions,
  createClient,
  dialectOf,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  type JoinReqToSend,
  parseMessage,
} from '@mortise/backend-interfaces'
import { hexToBytes, parseDevAddr, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from './certificates.ts'
import { STANDARD } from './messages.ts'
import { FOR_APPLICATION } from './outcomes.ts'

const JOIN: JoinReqToSend = {
  protocolVersion: '1.0',
  senderId: parseNetId('000013'),
  receiverId: parseJoinEui('70b3d57ed0000000'),
  macVersion: '1.1.0',
  phyPayload: hexToBytes('00000000d07ed5b370de55e897c8d148290100bbcc0b96'),
  devEui: parseDevEui('2948d1c897e855de'),
  devAddr: parseDevAddr('264e6866'),
  dlSettings: 0x80,
  rxDelay: 3,
}
const REJOIN = { ...JOIN, phyPayload: hexToBytes('c00001020308070605040302017b00dad3e7ee') }

/** What a join server would say to it. */
function answerTo(body: Buffer): string {
  const message = parseMessage(body, STANDARD)
  if (message.kind !== 'message') throw new Error(message.kind)
  const { header } = message
  if (header.messageType === 'HomeNSReq') return encodeHomeNsAns(header, { hNetId: parseNetId('c00053') }, STANDARD)
  return encodeJoinAns(header, FOR_APPLICATION[1]!, STANDARD)
}

/** Holds what is expected until the test posts it. */
class Inbox implements AnswerInbox {
  readonly expected = new Map<number, (body: Uint8Array) => void>()

  answerTo(transactionId: number, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.expected.set(transactionId, resolve)
      signal.addEventListener('abort', () => {
        this.expected.delete(transactionId)
        reject(signal.reason as Error)
      })
    })
  }

  post(body: Buffer): void {
    const text = answerTo(body)
    this.expected.get((JSON.parse(text) as { TransactionID: number }).TransactionID)?.(Buffer.from(text))
  }
}

describe('the client', () => {
  let certificates: Certificates
  let server: Server
  let answer: (body: Buffer) => { status?: number; text: string }
  const seen: { headers: IncomingHttpHeaders; body: string; certified: boolean }[] = []
  const sockets = new Set<Socket>()
  let handshakes: { resumed: boolean }[] = []

  beforeAll(async () => {
    certificates = await makeCertificates()
    const tls = { ...certificates.server, ca: certificates.ca, requestCert: true, rejectUnauthorized: false }
    server = createServer({ ...tls, keepAliveTimeout: 60_000 }, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks)
        const certified = request.socket instanceof TLSSocket && request.socket.authorized
        seen.push({ headers: request.headers, body: body.toString(), certified })
        const { status = 200, text } = answer(body)
        response.writeHead(status, { 'keep-alive': 'timeout=3' }).end(text)
      })
    })
    server.on('secureConnection', (socket) => {
      handshakes.push({ resumed: socket.isSessionReused() })
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })

  afterAll(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })

  beforeEach(() => {
    answer = (body) => ({ text: answerTo(body) })
    seen.length = 0
    handshakes = []
  })

  function client(changes: Partial<ClientOptions> = {}) {
    const { port } = server.address() as AddressInfo
    const { ca, client: identity } = certificates
    return createClient({ url: `https://127.0.0.1:${port}/`, ca, ...identity, timeoutMs: 5000, ...changes })
  }

  it('asks for a rejoin and for the home of a device', async () => {
    await using ns = client()
    expect(await ns.rejoinReq(REJOIN)).toMatchObject({ resultCode: 'Success', networkKeys: { fNwkSIntKey: {} } })
    expect(await ns.homeNsReq(JOIN)).toMatchObject({ resultCode: 'Success', hNetId: 'c00053' })
    expect(seen.map(({ body }) => (JSON.parse(body) as { MessageType: string }).MessageType)).toEqual([
      'RejoinReq',
      'HomeNSReq',
    ])
  })

  it('does not take a JoinAns for a RejoinAns', async () => {
    answer = (body) => ({ text: answerTo(body).replace('RejoinAns', 'JoinAns') })
    await using ns = client()
    await expect(ns.rejoinReq(REJOIN)).rejects.toMatchObject({ code: 'unexpected_message' })
  })

  it.each([
    [{ kind: 'bearer', token: 'xyz' } as const, 'authorization', 'Bearer xyz'],
    [{ kind: 'header', name: 'X-Token', value: 'xyz' } as const, 'x-token', 'xyz'],
  ])('shows who asks by %j, with no certificate', async (authorization, name, value) => {
    await using ns = client({ authorization, cert: undefined, key: undefined })
    expect((await ns.joinReq(JOIN)).resultCode).toBe('Success')
    expect(seen).toMatchObject([{ certified: false, headers: { [name]: value } }])
    await using certified = client()
    await certified.joinReq(JOIN)
    expect(seen.at(-1)).toMatchObject({ certified: true })
  })

  it('does not begin with a header that cannot be sent', () => {
    expect(() => client({ authorization: { kind: 'bearer', token: 'a\nb' } })).toThrow(TypeError)
  })

  it('keeps what makes up the header out of its errors', async () => {
    await using ns = client({ authorization: { kind: 'bearer', token: 'needle' }, url: 'https://127.0.0.1:1/' })
    const error: unknown = await ns.joinReq(JOIN).catch((cause: unknown) => cause)
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('needle')
    expect(inspect(client({ authorization: { kind: 'bearer', token: 'needle' } }), { depth: 20 })).not.toContain(
      'needle',
    )
  })

  it('asks as The Things Stack: a new connection with a full handshake each time, left open afterwards', async () => {
    const ns = client({ style: dialectOf('the-things-stack').asks })
    for (let count = 0; count < 5; count++) expect((await ns.joinReq(JOIN)).resultCode).toBe('Success')
    expect(handshakes).toEqual(Array.from({ length: 5 }, () => ({ resumed: false })))
    // Longer than the server's hint, which these peers do not read.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(sockets.size).toBeGreaterThanOrEqual(5)
    expect(seen[0]?.headers).toMatchObject({ 'accept-encoding': 'zstd,gzip' })
    expect(seen[0]?.headers['user-agent']).toMatch(/^TheThingsStack\//)
    expect(seen[0]?.body).toMatch(/"TransactionID":0,.*\n$/)
    await ns.close()
  })

  it('asks as ChirpStack: on one connection, with the headers of its own', async () => {
    await using ns = client({ style: dialectOf('chirpstack-4').asks })
    for (let count = 0; count < 5; count++) await ns.joinReq(JOIN)
    expect(handshakes.length).toBeLessThanOrEqual(2)
    expect(seen[0]?.headers).toMatchObject({ accept: '*/*', 'content-type': 'application/json' })
    expect(seen[0]?.headers).not.toHaveProperty('user-agent')
  })

  it('survives connections that the server ends, and asks again on a new one', async () => {
    await using ns = client({ style: dialectOf('the-things-stack').asks })
    await ns.joinReq(JOIN)
    for (const socket of sockets) socket.destroy()
    expect((await ns.joinReq(JOIN)).resultCode).toBe('Success')
  })

  describe('with an inbox', () => {
    it('takes the answer from there, whatever the response says', async () => {
      const inbox = new Inbox()
      const exchanges: string[] = []
      answer = (body) => {
        setTimeout(() => {
          inbox.post(body)
        }, 20)
        return { text: encodeFailure({ protocolVersion: '1.0' }, 'Other', 'not this one', STANDARD) }
      }
      await using ns = client({ inbox, onExchange: (_, text) => exchanges.push(text) })
      expect(await ns.joinReq(JOIN)).toMatchObject({ resultCode: 'Success' })
      expect(exchanges.at(-1)).toContain('"JoinAns"')
      expect(inbox.expected.size).toBe(0)
    })

    it('takes an answer that overtakes the response', async () => {
      const inbox = new Inbox()
      answer = (body) => {
        inbox.post(body)
        return { status: 202, text: '' }
      }
      await using ns = client({ inbox })
      const answers = await Promise.all([ns.joinReq(JOIN), ns.rejoinReq(REJOIN), ns.homeNsReq(JOIN)])
      expect(answers.map(({ resultCode }) => resultCode)).toEqual(['Success', 'Success', 'Success'])
    })

    it('gives up at once when the request is refused, and after timeoutMs when no answer comes', async () => {
      const inbox = new Inbox()
      await using ns = client({ inbox, timeoutMs: 300 })
      answer = () => ({ status: 404, text: '' })
      await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ code: 'http_status' })
      expect(inbox.expected.size).toBe(0)
      answer = () => ({ text: '' })
      await expect(ns.joinReq(JOIN)).rejects.toMatchObject({ name: 'AnswerError', code: 'timeout' })
      expect(inbox.expected.size).toBe(0)
    })
  })
})
