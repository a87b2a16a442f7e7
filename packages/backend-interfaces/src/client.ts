import { randomInt } from 'node:crypto'
import { AnswerError } from './answer-error.ts'
import { type Authorization, authorizationHeader } from './authorization.ts'
import { type ConnectionOptions, Connections, type HttpAnswer } from './connections.ts'
import {
  type AppSKeyAns,
  type HomeNsAns,
  type JoinAns,
  parseAppSKeyAns,
  parseHomeNsAns,
  parseJoinAns,
  parseRejoinAns,
} from './parse-answer.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import { type RequestStyle, STANDARD_STYLE } from './request-style.ts'
import {
  type AppSKeyReqToSend,
  encodeAppSKeyReq,
  encodeHomeNsReq,
  encodeJoinReq,
  encodeRejoinReq,
  type HomeNsReqToSend,
  type JoinReqToSend,
} from './requests.ts'

/** Where answers arrive that the join server posts, instead of sending them in its response (TS002 1.0 §20, asynchronous). */
export interface AnswerInbox {
  /**
   * The body of the answer with this TransactionID, when it arrives; to be asked for before the request is sent. Rejects
   * with the reason of `signal` when that aborts.
   */
  answerTo(transactionId: number, signal: AbortSignal): Promise<Uint8Array>
}

export interface ClientOptions extends ConnectionOptions {
  /** Where the join server is asked; https only. The path is used as it is. */
  readonly url: string | URL
  readonly authorization?: Authorization | undefined
  /** How requests are written and sent; as the standard has it unless told otherwise. */
  readonly style?: RequestStyle | undefined
  /** Takes the answers of a join server that answers asynchronously. */
  readonly inbox?: AnswerInbox | undefined
  /**
   * Sees every exchange that was answered, as text, whatever the status, and a second time with the answer when that came
   * to the inbox. The answer may hold network session keys.
   */
  readonly onExchange?: ((requestText: string, answerText: string) => void) | undefined
}

/** A network server's or application server's side of the Backend Interfaces, over TLS. Redirects are not followed. */
export interface BackendInterfacesClient extends AsyncDisposable {
  /** A refusal is returned, not thrown. @throws AnswerError */
  joinReq(request: JoinReqToSend): Promise<JoinAns>
  /** A refusal is returned, not thrown. @throws AnswerError */
  rejoinReq(request: JoinReqToSend): Promise<JoinAns>
  /** A refusal is returned, not thrown. @throws AnswerError */
  appSKeyReq(request: AppSKeyReqToSend): Promise<AppSKeyAns>
  /** A refusal is returned, not thrown. @throws AnswerError */
  homeNsReq(request: HomeNsReqToSend): Promise<HomeNsAns>
  /** Posts `body` as it is, and gives the response. @throws AnswerError connection or timeout */
  post(body: string | Uint8Array, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>
  /** Waits for exchanges under way and closes the connections. */
  close(): Promise<void>
}

/**
 * @throws TypeError when the URL is not https (session keys may travel in clear inside TLS, and nowhere else), or when
 * `authorization` cannot stand in a header
 */
export function createClient(options: ClientOptions): BackendInterfacesClient {
  const { style = STANDARD_STYLE, onExchange, inbox, timeoutMs } = options
  const url = new URL(options.url)
  if (url.protocol !== 'https:') throw new TypeError('The Backend Interfaces are spoken over https only.')
  const authorization = options.authorization === undefined ? {} : authorizationHeader(options.authorization)
  const connections = new Connections(url, options, style.connections)

  async function post(
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = style.httpHeaders,
  ): Promise<HttpAnswer> {
    const answer = await connections.post(body, { ...headers, ...authorization })
    onExchange?.(Buffer.from(body).toString(), Buffer.from(answer.body).toString())
    return answer
  }

  /** Posts a request; its answer comes in the response or, asynchronously, to the inbox. */
  async function ask(body: string, transactionId: number): Promise<Uint8Array> {
    if (inbox === undefined) return successfulBody(await post(body))
    const settled = new AbortController()
    const signal = AbortSignal.any([settled.signal, AbortSignal.timeout(timeoutMs)])
    const arrived = inbox.answerTo(transactionId, signal).catch((cause: unknown) => {
      throw new AnswerError('timeout', `The join server did not post an answer within ${timeoutMs} ms.`, { cause })
    })
    try {
      const [answer] = await Promise.all([arrived, post(body).then(successfulBody)])
      onExchange?.(body, Buffer.from(answer).toString())
      return answer
    } finally {
      settled.abort()
    }
  }

  async function exchange<Request extends { readonly protocolVersion: ProtocolVersion }, Answer extends AnswerId>(
    request: Request,
    encode: (request: Request, transactionId: number, style: RequestStyle) => string,
    parse: (body: Uint8Array) => Answer,
  ): Promise<Answer> {
    const transactionId = style.transactionId === 'zero' ? 0 : randomTransactionId()
    const answer = parse(await ask(encode(request, transactionId, style), transactionId))
    checkBelongs(answer, request, transactionId)
    return answer
  }

  return {
    joinReq: (request) => exchange(request, encodeJoinReq, parseJoinAns),
    rejoinReq: (request) => exchange(request, encodeRejoinReq, parseRejoinAns),
    appSKeyReq: (request) => exchange(request, encodeAppSKeyReq, parseAppSKeyAns),
    homeNsReq: (request) => exchange(request, encodeHomeNsReq, parseHomeNsAns),
    post,
    close: () => connections.close(),
    [Symbol.asyncDispose]: () => connections.close(),
  }
}

function successfulBody({ status, body }: HttpAnswer): Uint8Array {
  if (status < 200 || status > 299) throw new AnswerError('http_status', `The join server answered HTTP ${status}.`)
  return body
}

interface AnswerId {
  readonly transactionId: number
  readonly protocolVersion: ProtocolVersion
}

function checkBelongs(
  answer: AnswerId,
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
