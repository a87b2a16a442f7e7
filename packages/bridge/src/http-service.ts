import { Agent } from 'undici'
import type { ServiceAddress } from './config.ts'
import { isLoopback } from './config/addresses.ts'
import { BridgeError } from './errors.ts'

const MAX_CONNECTIONS = 32

/** As much of an answer as is read, in bytes. */
const MAX_ANSWER_BYTES = 65_536

export interface ServiceAnswer {
  readonly status: number
  readonly text: string
}

/** An HTTP service that messages are posted to, over kept connections. Redirects are not followed. */
export class HttpService {
  readonly #url: URL
  readonly #authorization: Readonly<Record<string, string>>
  readonly #agent: Agent
  readonly #timeoutMs: number

  /** @throws {BridgeError} `config_invalid` */
  constructor({ url, token, ca, cert, key }: ServiceAddress, timeoutMs: number) {
    this.#url = serviceUrl(url)
    this.#authorization = token === undefined ? {} : { authorization: `Bearer ${headerText(token)}` }
    this.#timeoutMs = timeoutMs
    this.#agent = new Agent({
      connections: MAX_CONNECTIONS,
      maxResponseSize: MAX_ANSWER_BYTES,
      connect: {
        minVersion: 'TLSv1.2',
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
      },
    })
  }

  /** Posts to the service's URL, or to `path` below its origin. Rejects when there is no answer in time. */
  async post(body: Uint8Array, contentType: string, path?: string): Promise<ServiceAnswer> {
    const { statusCode, body: answer } = await this.#agent.request({
      origin: this.#url.origin,
      path: path ?? this.#url.pathname + this.#url.search,
      method: 'POST',
      headers: { 'content-type': contentType, ...this.#authorization },
      body,
      signal: AbortSignal.timeout(this.#timeoutMs),
    })
    // The status says it all, also when the rest of the answer is too long or does not come.
    return { status: statusCode, text: await answer.text().catch(() => '') }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Readings and tokens would cross the network in clear: without TLS on this machine alone. */
function serviceUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw invalid('the URL of an HTTP service begins with https://')
  }
  if (url.username !== '' || url.password !== '') throw invalid('the URL of an HTTP service holds no credentials')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw invalid('an HTTP service is called without TLS on this machine only')
  }
  return url
}

/** @throws {BridgeError} `config_invalid` */
export function headerText(token: Buffer): string {
  const text = token.toString('latin1')
  if (/^[\x21-\x7e]+$/.test(text)) return text
  throw invalid('a token has a character that no header may hold')
}

function invalid(message: string): BridgeError {
  return new BridgeError('config_invalid', `${message}.`)
}
