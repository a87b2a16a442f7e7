import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { type AddressInfo } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { drain } from '../../src/http/drain.ts'
import { makeCertificate, type TestCertificate } from '../support/certificates.ts'

let certificate: TestCertificate
let server: Server
let sockets: TLSSocket[]
/** Lets the one request that is in flight be answered. */
let answer: () => void

beforeAll(() => {
  certificate = makeCertificate('localhost')
})

beforeEach(async () => {
  sockets = []
  server = createServer({ ...certificate, keepAliveTimeout: 60_000 }, (_request, response) => {
    answer = () => response.end('answered')
    server.emit('asked')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(() => {
  for (const socket of sockets) socket.destroy()
})

async function connectClient(): Promise<TLSSocket> {
  const { port } = server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, ca: certificate.cert, servername: 'localhost' })
  sockets.push(socket)
  await once(socket, 'secureConnect')
  return socket
}

async function ask(socket: TLSSocket): Promise<void> {
  const asked = once(server, 'asked')
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await asked
}

function close(timeoutMs: number): Promise<void> {
  const closed = () => new Promise<void>((resolve) => server.close(() => resolve()))
  return drain(server, closed, timeoutMs)
}

describe('a server that closes', () => {
  it('answers what is in flight, and then ends a connection that would be kept alive', async () => {
    const socket = await connectClient()
    const received: string[] = []
    socket.on('data', (chunk: Buffer) => received.push(chunk.toString()))
    await ask(socket)
    const closed = close(50_000)
    answer()
    await closed
    if (!socket.readableEnded) await once(socket, 'end')
    expect(received.join('')).toContain('answered')
  })

  it.each(['sent nothing', 'waits for an answer that does not come'])(
    'does not wait for one that %s',
    async (state) => {
      const socket = await connectClient()
      const ended = once(socket, 'close')
      if (state !== 'sent nothing') await ask(socket)
      await close(100)
      await ended
      expect(server.listening).toBe(false)
    },
  )
})
