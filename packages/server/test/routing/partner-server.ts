import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { TestAuthority } from '../support/certificates.ts'

export interface Received {
  readonly text: string
  readonly forwardedBy: string | undefined
  readonly contentType: string | undefined
  readonly clientName: string | undefined
}

export type PartnerBehaviour = (received: Received, response: ServerResponse) => void

/** A join server of somebody else, behind mutual TLS, that does what a test says. */
export class PartnerServer implements AsyncDisposable {
  readonly received: Received[] = []
  connections = 0
  behave: PartnerBehaviour = (_received, response) => response.end('{}')
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    server.on('secureConnection', () => (this.connections += 1))
    server.on('tlsClientError', () => undefined)
    server.on('request', (request, response) => void this.#take(request, response))
  }

  static async start(
    authority: TestAuthority,
    alternativeNames = 'DNS:localhost,IP:127.0.0.1',
  ): Promise<PartnerServer> {
    const { cert, key } = authority.issue({ commonName: 'partner', alternativeNames, usage: 'serverAuth' })
    const server = createServer({ cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: true })
    const partner = new PartnerServer(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return partner
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/join?of=partner`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const certificate = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate() : undefined
    const received = {
      text: Buffer.concat(chunks).toString(),
      forwardedBy: request.headers['mortise-forwarded'] as string | undefined,
      contentType: request.headers['content-type'],
      clientName: certificate?.subject.CN as string | undefined,
    }
    this.received.push(received)
    this.behave(received, response)
  }
}
