import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { MAX_BODY_BYTES } from '@mortise/backend-interfaces'
import type { ClientCertificate, PeerDirectory } from '../../identity/index.ts'
import { type ConnectionRefusal, Connections } from '../connections.ts'
import { drain } from '../drain.ts'
import { FORWARDED_HEADER } from '../../routing/index.ts'
import { BACKEND_INTERFACES_LIMITS, type BackendInterfacesLimits } from '../limits.ts'
import { TLS_OPTIONS } from '../tls-options.ts'
import { type MessageHandler, PEER_REFUSED } from './handle-message.ts'
import { FIRST_HAND } from './message-context.ts'
import { readBody } from './read-body.ts'
import { refuseRequest, sendAnswer } from './send-answer.ts'

export interface ListenerOptions {
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly peers: PeerDirectory
  readonly handle: MessageHandler
  /** Paths beside `/` that network servers are configured with. */
  readonly paths: readonly string[]
  readonly failed: (error: unknown) => void
  readonly limits?: BackendInterfacesLimits
  readonly refused?: (reason: ConnectionRefusal) => void
}

export interface Listener {
  /** Open connections, in whatever state. */
  readonly connections: number
  listen(host: string, port: number): Promise<{ host: string; port: number }>
  /** Shows this certificate from the next handshake on; what is open stays as it is. PEM. */
  exchangeCertificate(tls: ListenerOptions['tls']): void
  /** Answers what is in flight, then closes. */
  close(): Promise<void>
}

const MAX_HEADER_BYTES = 8192

/** The largest message of a known network server is under 1 KiB; a stranger's is only read to address the refusal. */
const MAX_STRANGER_BODY_BYTES = 4096

/** How much sooner a peer is told to let go of an idle connection than it is closed: a request may be on its way. */
const KEEP_ALIVE_MARGIN_MS = 1000

/**
 * The Backend Interfaces listener: HTTP/1.1 over mutual TLS. A client certificate is asked for and its key proven by the
 * handshake; which peer it is, its fingerprint says. Who shows none of a peer's may show a token in a header. Strangers
 * get a Result, not a broken connection.
 */
export function createListener(options: ListenerOptions): Listener {
  const { peers, limits = BACKEND_INTERFACES_LIMITS } = options
  const server = createHttpsServer(options.tls, limits)
  const connections = new Connections(server, {
    limits,
    refused: options.refused ?? (() => undefined),
    strangers: {
      limit: limits.strangers,
      include: (socket) => isStranger(options, socket),
    },
  })
  const serving: Serving = {
    ...{ peers, handle: options.handle, connections, targets: new Set(['/', ...options.paths]) },
    ...{ firstHint: keepAliveHint(limits.firstIdleMs), reusedHint: keepAliveHint(limits.reusedIdleMs) },
  }
  server.on('request', (request, response) => {
    serve(serving, request, response).catch((error: unknown) => {
      options.failed(error)
      refuseRequest(request, response, 500, 'Other', 'unexpected failure')
    })
  })
  return {
    get connections() {
      return connections.size
    },
    listen: (host, port) => listen(server, host, port, options.failed),
    exchangeCertificate: (tls) => server.setSecureContext({ ...TLS_OPTIONS, ...tls }),
    close: () => drain(connections, limits.drainTimeoutMs, () => close(server)),
  }
}

/** Who cannot be judged is a stranger: what is thrown in the event of a connection would end the whole process. */
function isStranger({ peers, failed }: ListenerOptions, socket: TLSSocket): boolean {
  try {
    return typeof peers.authenticate(certificateOf(socket), Date.now()) === 'string'
  } catch (error) {
    failed(error)
    return true
  }
}

function createHttpsServer(tls: ListenerOptions['tls'], limits: BackendInterfacesLimits): Server {
  const server = createServer({
    ...TLS_OPTIONS,
    ...tls,
    requestCert: true,
    // The pinned fingerprint decides, not a certificate authority: our own, the peer's, or none at all.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeTimeoutMs,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: 1000,
    // Idle connections are closed by Connections, which knows for how long each may wait.
    keepAliveTimeout: 0,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  // A client that breaks off its handshake is its own concern.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.on('clientError', (_error, socket) => socket.destroy())
  return server
}

/** What every request needs. */
interface Serving {
  readonly peers: PeerDirectory
  readonly handle: MessageHandler
  readonly connections: Connections
  readonly targets: ReadonlySet<string>
  /** For how long a peer may use its connection again: after the first request on it, and after others. */
  readonly firstHint: string
  readonly reusedHint: string
}

async function serve(serving: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { peers, connections, targets } = serving
  const certificate = certificateOf(request.socket)
  const sender = peers.authenticate(certificate, Date.now(), request.rawHeaders)
  const isStranger = typeof sender === 'string'
  const reused = connections.began(request.socket, response, !isStranger)
  const refuse = refuseRequest.bind(undefined, request, response)
  if (!targets.has(pathOf(request))) {
    refuse(404, 'Malformed', 'no such path')
    return
  }
  if (request.method !== 'POST') {
    refuse(405, 'Malformed', 'POST expected')
    return
  }
  const body = await readBody(request, isStranger ? MAX_STRANGER_BODY_BYTES : MAX_BODY_BYTES)
  if (body === 'aborted') return
  if (body === 'too large') {
    if (isStranger) refuse(200, 'UnknownSender', PEER_REFUSED[sender])
    else refuse(400, 'Malformed', `body larger than ${MAX_BODY_BYTES} bytes`)
    return
  }
  connections.received(request.socket)
  // Asked again, because a peer may have been disabled while it sent.
  const caller = peers.authenticate(certificate, Date.now(), request.rawHeaders)
  const context = { ...FIRST_HAND, isForwarded: request.headers[FORWARDED_HEADER] !== undefined }
  const answer = await serving.handle(caller, body, context)
  if (isStranger || connections.isDraining) response.shouldKeepAlive = false
  sendAnswer(response, answer, reused ? serving.reusedHint : serving.firstHint)
}

const certificates = new WeakMap<Socket, ClientCertificate>()

/** The client certificate of a connection. Its fingerprint is read once; the whole is too large to be kept for each. */
function certificateOf(socket: Socket): ClientCertificate {
  const known = certificates.get(socket)
  if (known !== undefined) return known
  const read = () => (socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined)
  const certificate = { fingerprint: read()?.fingerprint256.replaceAll(':', '').toLowerCase() ?? '', read }
  certificates.set(socket, certificate)
  return certificate
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/'
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function keepAliveHint(idleMs: number): string {
  return `timeout=${Math.max(0, Math.floor((idleMs - KEEP_ALIVE_MARGIN_MS) / 1000))}`
}

function listen(
  server: Server,
  host: string,
  port: number,
  failed: (error: unknown) => void,
): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      // A connection that could not be taken must not end the server.
      server.on('error', failed)
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
