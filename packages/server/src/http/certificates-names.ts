import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname } from 'node:os'

/** One entry of what Node writes of the extension: what might be mistaken for two is in quotation marks, as in JSON. */
const ENTRY = /([A-Za-z][A-Za-z ]*):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y

/** DNS names and IP addresses of a certificate (subjectAltName, RFC 5280 §4.2.1.6), in its order. */
export function certificateNames({ subjectAltName = '' }: X509Certificate): string[] {
  return Array.from(entriesOf(subjectAltName)).flatMap(([type, value]) => {
    if (type === 'DNS') return [value]
    if (type === 'IP Address') return [shortened(value)]
    return []
  })
}

function* entriesOf(text: string): Generator<readonly [string, string]> {
  ENTRY.lastIndex = 0
  for (let match = ENTRY.exec(text); match !== null && match[0] !== ''; match = ENTRY.exec(text)) {
    const [, type = '', value = ''] = match
    yield [type, value.startsWith('"') ? String(JSON.parse(value)) : value]
  }
}

/** An IPv6 address as people write it. */
function shortened(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
}

/** Whether a client that asks for this name or address takes the certificate. */
export function isNamed(certificate: X509Certificate, name: string): boolean {
  return (
    (isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name)) !== undefined
  )
}

/** Names of the certificate by which others than this machine may know the server. */
export function publicNames(certificate: X509Certificate): string[] {
  const own = ['localhost', '127.0.0.1', '::1', hostname()]
  return certificateNames(certificate).filter((name) => !own.includes(name))
}
