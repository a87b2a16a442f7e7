import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'

export interface Observed {
  /** Prometheus text. */
  metrics(): string
  /** What an operator should know, in words; none while all is well. */
  problems(): readonly string[]
  /** What an operator may want to know, and no reason to restart anything. */
  notes(): readonly string[]
}

export interface ObservationAddress {
  readonly host: string
  readonly port: number
}

const MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 5000

/** `GET /metrics`, `/healthz` and `/readyz`: what a monitor asks, and nothing else. Without TLS and without secrets. */
export class ObservationServer implements AsyncDisposable {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async listen(observed: Observed, { host, port }: ObservationAddress): Promise<ObservationServer> {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: 8192 }, (request, response) => {
      answer(observed, request, response)
    })
    server.maxConnections = MAX_CONNECTIONS
    server.listen(port, host)
    await once(server, 'listening')
    return new ObservationServer(server)
  }

  /** Where it listens: another port than was asked for, where that was 0. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

function answer(observed: Observed, { method, url }: IncomingMessage, response: ServerResponse): void {
  if (method !== 'GET' && method !== 'HEAD') {
    send(response, 405, { problems: ['Only GET is answered here.'] })
    return
  }
  switch (url) {
    case '/metrics':
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(observed.metrics())
      break
    case '/healthz':
      send(response, 200, { problems: [] })
      break
    case '/readyz': {
      const problems = observed.problems()
      send(response, problems.length === 0 ? 200 : 503, { problems, notes: observed.notes() })
      break
    }
    default:
      send(response, 404, { problems: ['There are /metrics, /healthz and /readyz.'] })
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: { readonly problems: readonly string[]; readonly notes?: readonly string[] },
): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}
