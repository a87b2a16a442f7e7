import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** The far end of the Backend Interfaces over mutual TLS; what it answers is for the test to say. */
export interface TestJoinServer extends AsyncDisposable {
  readonly url: string
  /** The Authorization header of every request. */
  readonly authorizations: (string | undefined)[]
  /** Connections that were made to it, and those that are open. */
  readonly connections: { made: number; open: number }
}

/**
 * `answer` gets the body of every request and the address that it came from, and returns the body of the answer. `dir`
 * holds the certificates.
 */
export async function startJoinServer(
  dir: string,
  answer: (body: Buffer, from: string) => string | Promise<string>,
): Promise<TestJoinServer> {
  const file = (name: string) => readFile(join(dir, name))
  const authorizations: (string | undefined)[] = []
  const server = createServer(
    {
      key: await file('server.key'),
      cert: await file('server.crt'),
      ca: await file('ca.crt'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const chunks: Buffer[] = []
      authorizations.push(request.headers.authorization)
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const from = request.socket.remoteAddress ?? ''
        void Promise.resolve(answer(Buffer.concat(chunks), from)).then((body) => response.end(body))
      })
    },
  )
  const connections = { made: 0, open: 0 }
  server.on('secureConnection', (socket) => {
    connections.made++
    connections.open++
    socket.once('close', () => connections.open--)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    authorizations,
    connections,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
