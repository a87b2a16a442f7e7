import type { SecureContext } from 'node:tls'
import { Agent, type buildConnector, type Dispatcher } from 'undici'
import { AnswerError } from './answer-error.ts'
import { MAX_BODY_BYTES } from './json-object.ts'
import type { RequestStyle } from './request-style.ts'
import { tlsConnector } from './tls-connector.ts'

export interface ConnectionOptions {
  /** PEM of the authorities that may have signed the server's certificate. */
  readonly ca: string | Buffer
  /** PEM of the client certificate, with its intermediates; needed unless something else says who asks. */
  readonly cert?: string | Buffer | undefined
  /** PEM of the client's private key. */
  readonly key?: string | Buffer | undefined
  /** What {@link tlsContext} made of these, where many clients share it: one takes a megabyte and some milliseconds. */
  readonly secureContext?: SecureContext | undefined
  /** For one whole exchange, connecting included. A join-accept must leave five seconds after the uplink. */
  readonly timeoutMs: number
}

export interface HttpAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/** As long as The Things Stack was seen to leave its connections open. */
const LEFT_OPEN_MS = 90_000

/** The connections of one client, all to one URL. */
export class Connections {
  readonly #options: ConnectionOptions
  readonly #url: URL
  readonly #style: RequestStyle['connections']
  readonly #connect: buildConnector.connector
  readonly #agents = new Set<Agent>()
  #kept: Agent | undefined

  constructor(url: URL, options: ConnectionOptions, style: RequestStyle['connections']) {
    this.#url = url
    this.#options = options
    this.#style = style
    this.#connect = tlsConnector(options)
  }

  /** @throws AnswerError connection or timeout */
  async post(body: string | Uint8Array, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const { timeoutMs } = this.#options
    try {
      const response = await this.#agent().request({
        origin: this.#url.origin,
        path: this.#url.pathname + this.#url.search,
        method: 'POST',
        headers,
        body,
        signal: AbortSignal.timeout(timeoutMs),
      })
      return { status: response.statusCode, contentType: contentTypeOf(response), body: await response.body.bytes() }
    } catch (cause) {
      throw isTimeout(cause)
        ? new AnswerError('timeout', `The join server did not answer within ${timeoutMs} ms.`, { cause })
        : new AnswerError('connection', 'The exchange with the join server failed.', { cause })
    }
  }

  /** Waits for exchanges under way and closes the connections. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#agents, (agent) => agent.close()))
  }

  #agent(): Agent {
    if (this.#style === 'kept') return (this.#kept ??= this.#newAgent({}))
    // An agent of its own: with it goes the pool.
    const agent = this.#newAgent({
      connections: 1,
      keepAliveTimeout: LEFT_OPEN_MS,
      keepAliveMaxTimeout: LEFT_OPEN_MS,
      // Added to what the server's Keep-Alive header asks for: these peers do not read it.
      keepAliveTimeoutThreshold: -LEFT_OPEN_MS,
    })
    const forget = (): void => {
      this.#agents.delete(agent)
    }
    agent.on('disconnect', forget).on('connectionError', forget)
    return agent
  }

  #newAgent(options: Agent.Options): Agent {
    const agent = new Agent({ allowH2: false, connect: this.#connect, maxResponseSize: MAX_BODY_BYTES, ...options })
    this.#agents.add(agent)
    return agent
  }
}

function contentTypeOf({ headers }: Dispatcher.ResponseData): string | undefined {
  const contentType = headers['content-type']
  return typeof contentType === 'string' ? contentType : undefined
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'ConnectTimeoutError')
}
