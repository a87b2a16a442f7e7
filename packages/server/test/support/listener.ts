import { createListener } from '../../src/http/backend-interfaces/index.ts'
import type { MessageHandler } from '../../src/http/backend-interfaces/handle-message.ts'
import type { ConnectionRefusal } from '../../src/http/connections.ts'
import { BACKEND_INTERFACES_LIMITS, type BackendInterfacesLimits } from '../../src/http/limits.ts'
import { PeerDirectory } from '../../src/identity/index.ts'
import type { Peer } from '../../src/storage/index.ts'
import { newPeer } from '../storage/fixtures.ts'
import { makeCertificate, type TestCertificate } from './certificates.ts'
import { connectBytes, connectWire, type WireClient, type WireClientOptions } from './wire-client.ts'

const DAY_MS = 86_400_000

/** Made once: they cost more than most tests. */
const server = makeCertificate('localhost')
const peer = makeCertificate('peer')
const stranger = makeCertificate('stranger')

/** A listener that knows one network server, 000013. */
export interface TestListener extends AsyncDisposable {
  readonly port: number
  /** Why connections were not taken or not kept, in this order. */
  readonly refused: ConnectionRefusal[]
  /** Open ones, as the server counts them. */
  readonly connections: number
  /** A connection of the peer. */
  connect(options?: Partial<WireClientOptions>): ReturnType<typeof connectWire>
  /** One of somebody else: with a certificate of its own, or none. */
  connectStranger(certificate?: TestCertificate | 'none'): ReturnType<typeof connectWire>
  /** One without handshake. */
  connectBytes(localAddress?: string): Promise<WireClient>
  exchangeCertificate(tls: { readonly cert: string; readonly key: string }): void
  close(): Promise<void>
}

export async function startListener(
  limits: Partial<BackendInterfacesLimits> = {},
  handle: MessageHandler = () => Promise.resolve({ status: 200, body: '{"answered":true}' }),
  peers = new PeerDirectory({ listPeers: () => [networkServer('000013', peer)] }),
): Promise<TestListener> {
  const refused: ConnectionRefusal[] = []
  const listener = createListener({
    tls: server,
    peers,
    handle,
    paths: [],
    failed: (error) => {
      throw error
    },
    limits: { ...BACKEND_INTERFACES_LIMITS, ...limits },
    refused: (reason) => refused.push(reason),
  })
  const { port } = await listener.listen('127.0.0.1', 0)
  const clients: WireClient[] = []
  const kept = async <Client extends WireClient>(connecting: Promise<Client>): Promise<Client> => {
    const client = await connecting
    clients.push(client)
    return client
  }
  const client = { port, ca: server.cert }
  return {
    port,
    refused,
    get connections() {
      return listener.connections
    },
    connect: (options) => kept(connectWire({ ...client, certificate: peer, ...options })),
    connectStranger: (certificate = stranger) =>
      kept(connectWire({ ...client, certificate: certificate === 'none' ? undefined : certificate })),
    connectBytes: (localAddress) => kept(connectBytes({ ...client, ...(localAddress && { localAddress }) })),
    exchangeCertificate: (tls) => listener.exchangeCertificate(tls),
    close: () => listener.close(),
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.destroy()
      await listener.close()
    },
  }
}

function networkServer(id: string, { fingerprint }: TestCertificate): Peer {
  const now = Date.now()
  const validity = { notBefore: now - DAY_MS, notAfter: now + DAY_MS, addedAt: now }
  return newPeer({ id, certificates: [{ fingerprint, subject: 'CN=peer', ...validity }], createdAt: now })
}
