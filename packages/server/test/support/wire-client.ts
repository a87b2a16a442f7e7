import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { TestCertificate } from './certificates.ts'
import { until } from './server.ts'

export interface WireClientOptions {
  readonly port: number
  /** PEM of the server's certificate. */
  readonly ca: string
  /** None: a stranger without certificate. */
  readonly certificate?: TestCertificate | undefined
  /** Of this machine: 127.0.0.0/8. */
  readonly localAddress?: string
}

/** A connection whose bytes the test writes itself: what well-behaved HTTP clients never send. */
export class WireClient<Connection extends Socket = Socket> {
  readonly socket: Connection
  received = ''
  closed = false

  constructor(socket: Connection) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => (this.received += chunk.toString()))
    // A reset is how the server closes what it does not want: the test looks at `closed`.
    socket.on('error', () => undefined)
    socket.on('close', () => (this.closed = true))
  }

  /** Heads of the answers so far. */
  get statuses(): number[] {
    return Array.from(this.received.matchAll(/HTTP\/1\.1 (\d{3})/g), ([, status]) => Number(status))
  }

  /** The JSON of the last answer. */
  get json(): unknown {
    return JSON.parse(this.received.slice(this.received.lastIndexOf('\r\n\r\n') + 4)) as unknown
  }

  /** A POST; by default with a body that any handler may take. */
  send(body = '{}', head = ''): void {
    this.socket.write(`POST / HTTP/1.1\r\nHost: js\r\nContent-Length: ${body.length}\r\n${head}\r\n${body}`)
  }

  /** One POST, answered. */
  async exchange(body?: string, head?: string): Promise<void> {
    const before = this.statuses.length
    this.send(body, head)
    await until(() => this.statuses.length > before)
  }
}

/** A TCP connection on which no handshake begins by itself. */
export async function connectBytes({ port, localAddress }: WireClientOptions): Promise<WireClient> {
  const socket = connectTcp({ host: '127.0.0.1', port, ...(localAddress !== undefined && { localAddress }) })
  const client = new WireClient(socket)
  await until(() => client.closed || !socket.connecting)
  return client
}

/** A connection after its handshake; may be closed already. */
export async function connectWire(options: WireClientOptions): Promise<WireClient<TLSSocket>> {
  const { port, ca, certificate, localAddress } = options
  let secure = false
  const socket = connectTls(
    {
      ...{ host: '127.0.0.1', port, ca },
      ...(certificate && { cert: certificate.cert, key: certificate.key }),
      ...(localAddress !== undefined && { localAddress }),
    },
    () => (secure = true),
  )
  const client = new WireClient(socket)
  await until(() => client.closed || secure)
  return client
}
