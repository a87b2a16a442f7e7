import { randomInt } from 'node:crypto'
import { Agent } from 'undici'
import { AnswerError } from './answer-error.ts'
import { MAX_BODY_BYTES } from './json-object.ts'
import { type AppSKeyAns, type JoinAns, parseAppSKeyAns, parseJoinAns } from './parse-answer.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import { type AppSKeyReqToSend, encodeAppSKeyReq, encodeJoinReq, type JoinReqToSend } from './requests.ts'

export interface ClientOptions {
  /** Where the join server is asked; https only. The path is used as it is. */
  readonly url: string | URL
  /** PEM of the authorities that may have signed the server's certificate. */
  readonly ca: string | Buffer
  /** PEM of the client certificate, with its intermediates. */
  readonly cert: string | Buffer
  /** PEM of the client's private key. */
  readonly key: string | Buffer
  /** For one whole exchange, connecting included. A join-accept must leave five seconds after the uplink. */
  readonly timeoutMs: number
  /** Sees every exchange that was answered, as text, whatever the status. The answer may hold network session keys. */
  readonly onExchange?: ((requestText: string, answerText: string) => void) | undefined
}

export interface HttpAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/** A network server's or application server's side of the Backend Interfaces, over mutual TLS. Redirects are not followed. */
export interface BackendInterfacesClient extends AsyncDisposable {
  /** A refusal is returned, not thrown. @throws AnswerError */
  joinReq(request: JoinReqToSend): Promise<JoinAns>
  /** A refusal is returned, not thrown. @throws AnswerError */
  appSKeyReq(request: AppSKeyReqToSend): Promise<AppSKeyAns>
  /** Posts `body` as it is. @throws AnswerError connection or timeout */
  post(body: string | Uint8Array, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>
  /** Waits for exchanges under way and closes the connections. */
  close(): Promise<void>
}

/** @throws TypeError when the URL is not https: session keys may travel in clear inside TLS, and nowhere else */
export function createClient(options: ClientOptions): BackendInterfacesClient {
  const url = new URL(options.url)
  if (url.protocol !== 'https:') throw new TypeError('The Backend Interfaces are spoken over https only.')
  const agent = createAgent(options)

  async function post(body: string | Uint8Array, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const answer = await exchange(agent, url, body, headers, options.timeoutMs)
    options.onExchange?.(Buffer.from(body).toString(), Buffer.from(answer.body).toString())
    return answer
  }

  return {
    async joinReq(request) {
      const transactionId = randomTransactionId()
      const answer = parseJoinAns(successfulBody(await post(encodeJoinReq(request, transactionId))))
      checkBelongs(answer, request, transactionId)
      return answer
    },
    async appSKeyReq(request) {
      const transactionId = randomTransactionId()
      const answer = parseAppSKeyAns(successfulBody(await post(encodeAppSKeyReq(request, transactionId))))
      checkBelongs(answer, request, transactionId)
      return answer
    },
    post,
    close: () => agent.close(),
    [Symbol.asyncDispose]: () => agent.close(),
  }
}

function createAgent({ ca, cert, key, timeoutMs }: ClientOptions): Agent {
  return new Agent({
    // TS002 1.0 §20 asks for HTTP/1.1.
    allowH2: false,
    connect: { ca, cert, key, timeout: timeoutMs, minVersion: 'TLSv1.2' },
    maxResponseSize: MAX_BODY_BYTES,
  })
}

async function exchange(
  agent: Agent,
  url: URL,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
  timeoutMs: number,
): Promise<HttpAnswer> {
  try {
    const response = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(timeoutMs),
    })
    const contentType = response.headers['content-type']
    return {
      status: response.statusCode,
      contentType: typeof contentType === 'string' ? contentType : undefined,
      body: await response.body.bytes(),
    }
  } catch (cause) {
    throw isTimeout(cause)
      ? new AnswerError('timeout', `The join server did not answer within ${timeoutMs} ms.`, { cause })
      : new AnswerError('connection', 'The exchange with the join server failed.', { cause })
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'ConnectTimeoutError')
}

function successfulBody({ status, body }: HttpAnswer): Uint8Array {
  if (status < 200 || status > 299) throw new AnswerError('http_status', `The join server answered HTTP ${status}.`)
  return body
}

function checkBelongs(
  answer: { readonly transactionId: number; readonly protocolVersion: ProtocolVersion },
  request: { readonly protocolVersion: ProtocolVersion },
  transactionId: number,
): void {
  if (answer.transactionId !== transactionId) {
    throw new AnswerError('unexpected_message', 'The answer has the TransactionID of another request.')
  }
  if (answer.protocolVersion !== request.protocolVersion) {
    throw new AnswerError('unexpected_message', 'The answer has another ProtocolVersion than the request.')
  }
}

/** Unsigned 32-bit. */
function randomTransactionId(): number {
  return randomInt(0x1_0000_0000)
}
