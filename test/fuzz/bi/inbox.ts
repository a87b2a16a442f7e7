import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { demand } from '../failure.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import type { ListenerTls } from '../../support/listener-tls.ts'
import type { ReadHeader } from './read-request.ts'

/** The URL of a network server that takes its answers in messages of their own, over mutual TLS. */
export class Inbox implements AsyncDisposable {
  readonly url: string
  readonly #server: Server
  readonly #waiting = new Map<string, ((answer: HttpAnswer) => void)[]>()
  #unclaimed: string | undefined

  private constructor(server: Server) {
    const { port } = server.address() as AddressInfo
    this.url = `https://127.0.0.1:${port}/answers`
    this.#server = server
    server.on('request', (request, response) => {
      this.#receive(request, response).catch(() => response.destroy())
    })
  }

  static async listen(tls: ListenerTls): Promise<Inbox> {
    const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Inbox(server)
  }

  /** An answer that came although nobody waited for it. */
  get complaint(): string | undefined {
    return this.#unclaimed
  }

  /**
   * The next answer to a request with this header, however often it is asked at once; call it before the request is sent.
   * `cancel` when the request was answered in the response all the same. @throws OracleFailure no_answer
   */
  expect(header: ReadHeader, timeoutMs: number): { readonly answer: Promise<HttpAnswer>; readonly cancel: () => void } {
    const name = nameOf(header.receiverId, header.transactionId)
    const { promise, resolve } = Promise.withResolvers<HttpAnswer | undefined>()
    const waiting = this.#waiting.get(name) ?? []
    this.#waiting.set(name, waiting)
    waiting.push(resolve)
    const cancel = (): void => {
      if (waiting.includes(resolve)) waiting.splice(waiting.indexOf(resolve), 1)
      if (waiting.length === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name)
      clearTimeout(timer)
      resolve(undefined)
    }
    const timer = setTimeout(cancel, timeoutMs)
    const answer = promise.then((given) => {
      cancel()
      demand(given !== undefined, 'no_answer', 'at the URL of the network server')
      return given
    })
    // Whoever cancels does not wait for it.
    answer.catch(() => undefined)
    return { answer, cancel }
  }

  /** Takes an answer as it was posted. */
  take(body: Buffer, contentType: string | undefined): void {
    const headers = new Map(contentType === undefined ? [] : [['content-type', contentType]])
    const resolve = this.#waiting.get(nameIn(body))?.shift()
    if (resolve === undefined) this.#unclaimed ??= body.toString().slice(0, 200)
    else resolve({ status: 200, headers, body })
  }

  /** Ends the connections of the server; it opens new ones when it needs them. */
  closeConnections(): void {
    this.#server.closeAllConnections()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    response.writeHead(200).end()
    this.take(Buffer.concat(chunks), request.headers['content-type'])
  }
}

/** SenderID of the answer is the ReceiverID that was sent, and TransactionID is the same. */
function nameIn(body: Buffer): string {
  try {
    const { SenderID, TransactionID } = JSON.parse(body.toString()) as Record<string, unknown>
    return nameOf(SenderID, TransactionID)
  } catch {
    return ''
  }
}

function nameOf(receiverId: unknown, transactionId: unknown): string {
  return JSON.stringify([receiverId, transactionId])
}
