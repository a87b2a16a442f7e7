import type { X509Certificate } from 'node:crypto'
import { subjectParts } from '../certificate-subject.ts'
import { fitnessFor } from '../key-usage.ts'

/** A certificate whose key the TLS handshake has proven. */
export interface ClientCertificate {
  /** SHA-256 of its DER, 64 lower-case hex digits; empty where the client showed none. */
  readonly fingerprint: string
  /** Reads all of it: needed only where nobody is known by the fingerprint. Undefined where there is none. */
  readonly read: () => X509Certificate | undefined
}

const COMMON_NAME = 'CN='

/** Hash functions with which somebody else's certificate could be made to have the same signature. */
const BROKEN_HASH = /md[245]|sha-?1(?![0-9])/i

/** Whether this CA itself issued a certificate, to a TLS client. When either is valid is for the caller to compare. */
export function isIssuedToClient(certificate: X509Certificate, authority: X509Certificate): boolean {
  return (
    authority.ca &&
    // One without a purpose, or for any, was not made for clients: a CA may issue such ones to anybody.
    fitnessFor('client', certificate) === 'named' &&
    !BROKEN_HASH.test(certificate.signatureAlgorithm ?? '') &&
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey)
  )
}

/**
 * Whether a certificate is in this name: one of its DNS names, in whatever case; only where it has no alternative names
 * at all, its common name. No wildcard stands for a name.
 */
export function isInName(certificate: X509Certificate, name: string): boolean {
  if (certificate.subjectAltName !== undefined) return hasDnsName(certificate, name)
  const [commonName, another] = commonNamesOf(certificate)
  return commonName === name && another === undefined
}

/**
 * What is in a value is escaped, and cannot look like another part. The object of Node that has the parts by name must not
 * be asked for: of a key on a curve without a NIST name it makes the process end with a segmentation fault (Node 24.21).
 */
function commonNamesOf(certificate: X509Certificate): string[] {
  const named = subjectParts(certificate).filter((part) => part.startsWith(COMMON_NAME))
  return named.map((part) => part.slice(COMMON_NAME.length))
}

function hasDnsName(certificate: X509Certificate, name: string): boolean {
  // OpenSSL takes a name with a dot before it for all names below.
  if (name.startsWith('.')) return false
  return certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined
}
