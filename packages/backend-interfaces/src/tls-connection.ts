import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'

/**
 * Opens a TLS connection. When the chain is good, Node itself makes an object of every certificate in it, and of a key on a
 * curve without a NIST name that ends the process with a segmentation fault (Node 24.21): whoever may issue below an
 * authority that is trusted here could stop us. So that object is not made, and the name is checked without it; use
 * `getPeerX509Certificate` for anything else.
 */
export function connectTls(options: ConnectionOptions): TLSSocket {
  const checkServerIdentity = (host: string): Error | undefined => checkName(host, socket.getPeerX509Certificate())
  const socket = connect({ ...options, checkServerIdentity })
  socket.getPeerCertificate = (): DetailedPeerCertificate => ({}) as DetailedPeerCertificate
  // Node takes it out of the chain when it is asked for: a second time it would be the next one, or none.
  const take = socket.getPeerX509Certificate.bind(socket)
  let taken: X509Certificate | undefined
  socket.getPeerX509Certificate = () => (taken ??= take())
  return socket
}

/** As RFC 9525 has it: alternative names only; a wildcard stands for one whole label. */
function checkName(host: string, certificate: X509Certificate | undefined): Error | undefined {
  const name =
    isIP(host) === 0
      ? certificate?.checkHost(host, { subject: 'never', partialWildcards: false })
      : certificate?.checkIP(host)
  if (name !== undefined) return undefined
  const error = new Error(`The certificate is not for ${host}.`)
  // The code that Node's own check has.
  return Object.assign(error, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
}
