import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { WebhookListener } from '../config.ts'
import { isLoopback } from '../config/addresses.ts'
import { BridgeError } from '../errors.ts'
import { MAX_EVENT_BYTES } from '../event-json.ts'
import type { EventShape, ReceivedEvent } from '../network-event.ts'
import type { Source, TakeEvent } from '../source.ts'
import { isUsableTopic } from '../topic.ts'

/** What a network posted. */
export interface Posted {
  readonly query: URLSearchParams
  readonly contentType: string
  readonly body: Uint8Array
}

/** Gives a posted event the topic that it would have over MQTT. @throws {BridgeError} `event_malformed` */
export type TopicOf = (posted: Posted) => string

export interface WebhookSourceOptions {
  readonly listener: WebhookListener
  readonly shape: EventShape
  readonly topicOf: TopicOf
}

const REQUEST_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 1024

/** Events that a network posts: 200 when one was taken over, 503 when it could not be, so that it may come again. */
export class WebhookSource implements Source {
  readonly shape: EventShape
  readonly #options: WebhookSourceOptions
  readonly #token: Buffer
  readonly #server: Server
  #take: TakeEvent | undefined
  #problem: string | undefined = 'webhook: not listening yet'

  /** @throws {BridgeError} `config_invalid` */
  constructor(options: WebhookSourceOptions) {
    const { cert, key, host, token } = options.listener
    this.shape = options.shape
    this.#options = options
    if (token.length === 0) throw invalid('needs a token')
    this.#token = digest(token)
    if (cert === undefined && !isLoopback(host)) {
      throw invalid('listens without TLS on this machine only: the token would cross the network in clear')
    }
    const limits = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 60_000 }
    this.#server =
      cert === undefined
        ? createPlainServer(limits)
        : createTlsServer({ ...limits, cert, key, minVersion: 'TLSv1.2', handshakeTimeout: REQUEST_TIMEOUT_MS })
    this.#server.maxConnections = MAX_CONNECTIONS
    this.#server.on('request', (request, response) => {
      void this.#answer(request, response)
    })
  }

  get problem(): string | undefined {
    return this.#problem
  }

  /** Where it listens, also when the configuration left the choice of the port to the system. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address : undefined
  }

  /** @throws {BridgeError} `config_invalid`: it cannot listen there */
  async start(take: TakeEvent): Promise<void> {
    this.#take = take
    const { host, port } = this.#options.listener
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => {
        const message = `source.webhook.listen: one cannot listen on ${host}, port ${port}: ${cause.message}.`
        reject(new BridgeError('config_invalid', message, { cause }))
      })
      this.#server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, resolve)
    })
    this.#problem = undefined
  }

  async stop(): Promise<void> {
    this.#problem = 'webhook: stopped'
    if (!this.#server.listening) return
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve()
      }),
    )
    this.#server.closeIdleConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = await this.#statusOf(request)
    if (status === 'aborted') response.destroy()
    else if (status === 200) response.writeHead(200, { 'content-length': 0 }).end()
    // What was not read of a body would be taken for the next request.
    else response.writeHead(status, { connection: 'close', 'content-length': 0 }).end()
  }

  async #statusOf(request: IncomingMessage): Promise<number | 'aborted'> {
    if (!this.#authorized(request)) return 401
    if (request.method !== 'POST') return 405
    const body = await readBody(request)
    if (body === 'too_large') return 413
    return body === 'aborted' ? body : await this.#accept(request, body)
  }

  async #accept(request: IncomingMessage, body: Uint8Array): Promise<200 | 400 | 503> {
    let event: ReceivedEvent
    try {
      event = { topic: this.#topicOf(request, body), body }
    } catch (error) {
      if (error instanceof BridgeError) return 400
      throw error
    }
    try {
      await this.#take?.(event)
      return this.#take === undefined ? 503 : 200
    } catch {
      return 503
    }
  }

  #topicOf(request: IncomingMessage, body: Uint8Array): string {
    const query = new URLSearchParams((request.url ?? '').split('?')[1])
    const [contentType = ''] = (request.headers['content-type'] ?? '').split(';')
    const topic = this.#options.topicOf({ query, contentType: contentType.trim().toLowerCase(), body })
    if (isUsableTopic(topic)) return topic
    throw new BridgeError('event_malformed', 'The event has no usable topic.')
  }

  /** Digests have one size, so that not even the token's length shows in the time it takes. */
  #authorized({ headers }: IncomingMessage): boolean {
    const [, token] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
    return timingSafeEqual(digest(Buffer.from(token ?? '', 'latin1')), this.#token)
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer | 'too_large' | 'aborted'> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_EVENT_BYTES) return 'too_large'
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_EVENT_BYTES) return 'too_large'
      chunks.push(chunk)
    }
  } catch {
    return 'aborted'
  }
  return Buffer.concat(chunks)
}

function digest(token: Uint8Array): Buffer {
  return createHash('sha256').update(token).digest()
}

function invalid(message: string): BridgeError {
  return new BridgeError('config_invalid', `webhook: ${message}.`)
}
