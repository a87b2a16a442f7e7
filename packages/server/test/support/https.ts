import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request } from 'node:https'

export interface HttpsClient {
  readonly port: number
  /** PEM of the server's certificate or its CA. */
  readonly ca: string
  readonly token?: string | undefined
}

export interface HttpsRequest {
  readonly method?: string
  readonly headers?: Record<string, string>
  /** Text goes as it is; anything else as JSON. */
  readonly body?: unknown
}

export interface HttpsAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The text as JSON, where it is. */
  readonly json: unknown
}

/** One request on a connection of its own. */
export function ask(client: HttpsClient, path: string, options: HttpsRequest = {}): Promise<HttpsAnswer> {
  const { method = 'GET', headers = {}, body } = options
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: client.port, ca: client.ca, path, method },
        agent: new Agent({ keepAlive: false }),
        headers: {
          ...(client.token !== undefined && { authorization: `Bearer ${client.token}` }),
          ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: answer,
            json: parseOrUndefined(answer),
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(text)
  })
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
