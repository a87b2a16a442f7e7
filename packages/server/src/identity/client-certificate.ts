import type { X509Certificate } from 'node:crypto'

/** Extended key usage of TLS clients, RFC 5280 §4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** A certificate whose key the TLS handshake has proven. */
export interface ClientCertificate {
  /** SHA-256 of its DER, 64 lower-case hex digits; empty where the client showed none. */
  readonly fingerprint: string
  /** Reads all of it: needed only where nobody is known by the fingerprint. Undefined where there is none. */
  readonly read: () => X509Certificate | undefined
}

/** Hash functions with which somebody else's certificate could be made to have the same signature. */
const BROKEN_HASH = /md[245]|sha-?1(?![0-9])/i

/** Whether this CA itself issued a certificate, to a TLS client. When either is valid is for the caller to compare. */
export function isIssuedToClient(certificate: X509Certificate, authority: X509Certificate): boolean {
  return (
    authority.ca &&
    isForClients(certificate) &&
    !BROKEN_HASH.test(certificate.signatureAlgorithm ?? '') &&
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey)
  )
}

/** Node calls the extended key usage so. Without that extension a certificate is for no purpose in particular. */
function isForClients({ keyUsage }: { readonly keyUsage: readonly string[] | undefined }): boolean {
  return keyUsage?.includes(CLIENT_AUTH) === true
}

/**
 * Whether a certificate is in this name: one of its DNS names, in whatever case; only where it has no alternative names
 * at all, its common name. No wildcard stands for a name.
 */
export function isInName(certificate: X509Certificate, name: string): boolean {
  if (certificate.subjectAltName !== undefined) return hasDnsName(certificate, name)
  // More than one is an array.
  return certificate.toLegacyObject().subject.CN === name
}

function hasDnsName(certificate: X509Certificate, name: string): boolean {
  // OpenSSL takes a name with a dot before it for all names below.
  if (name.startsWith('.')) return false
  return certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined
}
