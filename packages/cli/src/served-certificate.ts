import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connectTls } from '@mortise/backend-interfaces'

const TIMEOUT_MS = 5000

/**
 * What a server shows, whether it is still good or not: only somebody who wants to renew it may ask so. Nothing is sent.
 * Undefined when nobody answers there.
 */
export function servedCertificate(url: string): Promise<X509Certificate | undefined> {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connectTls({
      ...{ host, port: Number(port === '' ? 443 : port), rejectUnauthorized: false, timeout: TIMEOUT_MS },
      ...(isIP(host) === 0 && { servername: host }),
    })
    const finish = (certificate?: X509Certificate): void => {
      resolve(certificate)
      socket.destroy()
    }
    socket.once('secureConnect', () => finish(socket.getPeerX509Certificate()))
    socket.once('timeout', () => finish())
    socket.once('error', () => finish())
  })
}
