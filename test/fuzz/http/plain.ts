import { createConnection } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { demand } from '../failure.ts'

const QUIET_MS = 40
const CLOSE_TIMEOUT_MS = 15_000
const POLL_MS = 5

/** Sends bytes to a TLS listener without TLS: it answers with an alert or not at all, and lets go of the connection. */
export async function sendWithoutTls(address: { host: string; port: number }, bytes: Buffer): Promise<void> {
  const socket = createConnection(address)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.on('error', () => socket.destroy())
  socket.write(bytes)
  await delay(QUIET_MS)
  socket.end()
  const deadline = performance.now() + CLOSE_TIMEOUT_MS
  while (!socket.closed && performance.now() < deadline) await delay(POLL_MS)
  const { closed } = socket
  socket.destroy()
  demand(closed, 'http_stream', 'the server leaves a connection open that has ended')
  const answer = Buffer.concat(received)
  demand(!answer.includes('HTTP/'), 'plaintext', answer.toString('latin1').slice(0, 80))
}
