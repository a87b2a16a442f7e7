import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { encodeFrame, FRAME } from '../contract/frames.ts'
import { encodeRefusal } from '../contract/session.ts'
import { HsmError } from '../errors.ts'

/** The longest path that the kernel takes for a socket (sockaddr_un, unix(7)). */
const MAX_PATH_BYTES = 107
const REFUSED_LINGER_MS = 1000

export interface UnixListenerOptions {
  readonly path: string
  /** Who may connect, as the mode of the file. */
  readonly mode: number
  readonly maxConnections: number
  /** Connections come unread, so that they can be handed to another process whole. */
  readonly pauseOnConnect?: boolean
  readonly onConnection: (socket: Socket) => void
}

/** Listens on a socket, also where an ended process left its own. @throws HsmError token_failed: the path is too long */
export async function listenOnUnixSocket(options: UnixListenerOptions): Promise<Server> {
  const { path, mode, maxConnections, pauseOnConnect = false, onConnection } = options
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new HsmError('token_failed', `socket path longer than ${MAX_PATH_BYTES} bytes: ${path}`)
  rmSync(path, { force: true })
  const server = createServer({ pauseOnConnect }, onConnection)
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, mode)
  return server
}

/** Tells a connection why nobody takes it, and ends it. */
export function refuseConnection(socket: Socket, code: 'sealed' | 'busy'): void {
  socket.on('error', () => socket.destroy())
  socket.end(encodeFrame(FRAME.refused, 0, encodeRefusal(new HsmError(code))))
  // Reads on, so that the end of the other side is seen, but not for ever.
  socket.resume()
  socket.setTimeout(REFUSED_LINGER_MS, () => socket.destroy())
}
