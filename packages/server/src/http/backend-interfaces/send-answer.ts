import type { IncomingMessage, ServerResponse } from 'node:http'
import { dialectOf, encodeFailure, type FailureCode } from '@mortise/backend-interfaces'
import type { HttpAnswer } from './handle-message.ts'

/** How long, and how much of it, the rest of a request is dropped whose answer is known before its end. */
const LINGER_MS = 1000
const LINGER_BYTES = 65_536

/** `keepAlive` is the value of the header that says for how long; a client that asked to close is not told. */
export function sendAnswer(response: ServerResponse, { status, body }: HttpAnswer, keepAlive: string): void {
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]
  if (response.shouldKeepAlive) headers.push('Keep-Alive', keepAlive)
  response.writeHead(status, headers)
  response.end(body)
}

/**
 * Answers a request that is not looked at any further, and closes its connection. Even a client that talks nonsense gets
 * JSON in the shape of an answer: HTML is known to crash some.
 */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  result: FailureCode,
  description: string,
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const dialect = dialectOf('standard-1.0')
  const body = encodeFailure({ protocolVersion: dialect.unreadableAnsweredIn }, result, description, dialect)
  const length = String(Buffer.byteLength(body))
  response.writeHead(status, ['Content-Type', 'application/json', 'Content-Length', length, 'Connection', 'close'])
  response.write(body)
  if (request.complete) response.end()
  else endAfterRest(request, response)
}

/** A client that still sends when its connection is closed would lose the answer to a reset. */
function endAfterRest(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, LINGER_MS)
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > LINGER_BYTES) end()
  })
  request.on('end', end)
  request.on('close', end)
}
