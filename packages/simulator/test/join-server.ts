import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** The far end of the Backend Interfaces over mutual TLS; what it answers is for the test to say. */
export interface TestJoinServer extends AsyncDisposable {
  readonly url: string
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
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const from = request.socket.remoteAddress ?? ''
        void Promise.resolve(answer(Buffer.concat(chunks), from)).then((body) => response.end(body))
      })
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
