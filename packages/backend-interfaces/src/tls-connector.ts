import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { type buildConnector, errors } from 'undici'
import type { ConnectionOptions } from './connections.ts'
import { connectTls } from './tls-connection.ts'

/** How long a connection is silent before the other side is asked whether it is still there. */
const KEEP_ALIVE_PROBE_MS = 60_000

/** Who is trusted, and what is shown. */
export function tlsContext({ ca, cert, key }: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>): SecureContext {
  return createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' })
}

/**
 * How undici gets its connections: with one TLS context for all of them, because to read a hundred authorities for each
 * takes longer than a handshake and leaves a megabyte behind. TS002 1.0 §20 asks for HTTP/1.1.
 */
export function tlsConnector(options: ConnectionOptions): buildConnector.connector {
  const { secureContext = tlsContext(options), timeoutMs } = options
  return ({ hostname, port }, callback) => {
    const socket = connectTls({
      ...{ secureContext, host: hostname, port: port === '' ? 443 : Number(port), ALPNProtocols: ['http/1.1'] },
      ...(isIP(hostname) === 0 && { servername: hostname }),
    })
    const timer = setTimeout(() => {
      socket.destroy(new errors.ConnectTimeoutError('connect timeout'))
    }, timeoutMs)
    const failed = (error: Error): void => {
      clearTimeout(timer)
      callback(error, null)
    }
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    socket.once('error', failed)
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      callback(null, socket)
    })
  }
}
