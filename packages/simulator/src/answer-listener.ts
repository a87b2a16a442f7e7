import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type AnswerInbox, MAX_BODY_BYTES } from '@mortise/backend-interfaces'

export interface AnswerListenerOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** PEM: its own certificate and key, and the authorities of those who may post. */
  readonly cert: string | Buffer
  readonly key: string | Buffer
  readonly ca: string | Buffer
}

const JOIN_EUI = /^[0-9a-f]{16}$/i

/**
 * Where a network server takes asynchronous answers, as ChirpStack does: over mutual TLS, at any path, matched by
 * TransactionID alone. The poster gets 200 at once, also when nobody waits; an answer from no JoinEUI gets 400.
 */
export class AnswerListener implements AnswerInbox, AsyncDisposable {
  readonly url: string
  readonly #server: Server
  readonly #waiting = new Map<number, (body: Uint8Array) => void>()
  #unclaimed = 0

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
    server.on('request', (request, response) => {
      this.#take(request, response).catch(() => response.destroy())
    })
  }

  static async listen({ host, port, cert, key, ca }: AnswerListenerOptions): Promise<AnswerListener> {
    const tls = { cert, key, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const
    const server = createServer(tls)
    server.listen(port, host)
    await once(server, 'listening')
    const { port: bound } = server.address() as AddressInfo
    return new AnswerListener(server, `https://${host}:${bound}/`)
  }

  /** Answers that came when nobody waited for them: too late, or to a TransactionID that was never sent. */
  get unclaimed(): number {
    return this.#unclaimed
  }

  answerTo(transactionId: number, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(transactionId, resolve)
      signal.addEventListener('abort', () => {
        if (this.#waiting.get(transactionId) === resolve) this.#waiting.delete(transactionId)
        reject(signal.reason as Error)
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    const transactionId = body && transactionIdOf(body)
    if (body === undefined || transactionId === undefined) {
      response.writeHead(400).end()
      return
    }
    response.writeHead(200).end()
    const resolve = this.#waiting.get(transactionId)
    if (resolve === undefined) this.#unclaimed++
    this.#waiting.delete(transactionId)
    resolve?.(body)
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function transactionIdOf(body: Buffer): number | undefined {
  try {
    const answer: unknown = JSON.parse(body.toString())
    if (typeof answer !== 'object' || answer === null) return undefined
    const { SenderID, TransactionID } = answer as Record<string, unknown>
    const fromJoinServer = typeof SenderID === 'string' && JOIN_EUI.test(SenderID)
    return fromJoinServer && typeof TransactionID === 'number' ? TransactionID : undefined
  } catch {
    return undefined
  }
}
