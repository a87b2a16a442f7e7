import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { encodeFailure, HIGHEST_PROTOCOL_VERSION, MAX_BODY_BYTES } from '@mortise/backend-interfaces'
import type { PeerDirectory } from '../../identity/index.ts'
import { drain } from '../drain.ts'
import type { HttpAnswer, MessageHandler } from './handle-message.ts'

export interface ListenerOptions {
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly peers: PeerDirectory
  readonly handle: MessageHandler
  /** Paths beside `/` that network servers are configured with. */
  readonly paths: readonly string[]
  readonly failed: (error: unknown) => void
}

export interface Listener {
  listen(host: string, port: number): Promise<{ host: string; port: number }>
  /** Answers what is in flight, then closes. */
  close(): Promise<void>
}

/** A connection per request, left idle for 90 s, is what The Things Stack does: idle ones must not exhaust descriptors. */
const KEEP_ALIVE_MS = 60_000
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 10_000
const HANDSHAKE_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 20_000
const MAX_HEADER_BYTES = 8192

/**
 * The Backend Interfaces listener: HTTP/1.1 over mutual TLS. A client certificate is asked for and its key proven by the
 * handshake; which peer it is, its fingerprint says. Certificates of strangers get a Result, not a broken connection.
 */
export function createListener(options: ListenerOptions): Listener {
  const { tls, paths } = options
  const targets = new Set(['/', ...paths])
  const server = createServer(
    {
      ...tls,
      minVersion: 'TLSv1.2',
      requestCert: true,
      // The pinned fingerprint decides, not a certificate authority: our own, the peer's, or none at all.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (request, response) => {
      serve(options, targets, request, response).catch((error: unknown) => {
        options.failed(error)
        fail(response, 500, 'Other', 'unexpected failure')
      })
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  // A client that breaks off its handshake is its own concern.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.on('clientError', (_error, socket) => socket.destroy())
  return { listen: (host, port) => listen(server, host, port), close: () => drain(server, () => close(server)) }
}

async function serve(
  options: ListenerOptions,
  targets: ReadonlySet<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readPost(targets, request)
  if (body === 'aborted') return
  if ('refused' in body) {
    fail(response, body.refused, 'Malformed', body.description)
    return
  }
  const caller = options.peers.authenticate(fingerprintOf(request.socket), Date.now())
  send(response, await options.handle(caller, body))
}

async function readPost(
  targets: ReadonlySet<string>,
  request: IncomingMessage,
): Promise<Buffer | 'aborted' | { readonly refused: number; readonly description: string }> {
  if (!targets.has(pathOf(request))) return { refused: 404, description: 'no such path' }
  if (request.method !== 'POST') return { refused: 405, description: 'POST expected' }
  const body = await readBody(request)
  return body === 'too large' ? { refused: 400, description: `body larger than ${MAX_BODY_BYTES} bytes` } : body
}

const fingerprints = new WeakMap<Socket, string>()

/** SHA-256 of the client certificate, lower-case hex; empty without one. Read once per connection. */
function fingerprintOf(socket: Socket): string {
  const known = fingerprints.get(socket)
  if (known !== undefined) return known
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  const fingerprint = certificate?.fingerprint256.replaceAll(':', '').toLowerCase() ?? ''
  fingerprints.set(socket, fingerprint)
  return fingerprint
}

function readBody(request: IncomingMessage): Promise<Buffer | 'too large' | 'aborted'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk)
      else resolve('too large')
    })
    request.on('end', () => {
      const [first] = chunks
      resolve(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks))
    })
    request.on('close', () => {
      resolve('aborted')
    })
  })
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/'
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function send(response: ServerResponse, { status, body }: HttpAnswer): void {
  const bytes = Buffer.from(body)
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': bytes.length })
  response.end(bytes)
}

/** Even a client that talks nonsense gets JSON in the shape of an answer: HTML is known to crash some. */
function fail(response: ServerResponse, status: number, result: 'Malformed' | 'Other', description: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  // The rest of a body that nobody reads would be taken for the next request.
  response.setHeader('Connection', 'close')
  send(response, { status, body: encodeFailure({ protocolVersion: HIGHEST_PROTOCOL_VERSION }, result, description) })
}

function listen(server: Server, host: string, port: number): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address() as AddressInfo
      resolve({ host: address.address, port: address.port })
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
  })
}
