import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'

/** Characters of PEM; one with an RSA-4096 key and long names has some 4000. */
export const MAX_CERTIFICATE_LENGTH = 16_384

/** What a client certificate (PEM) says. @throws AdministrationError certificate_malformed */
export function readCertificate(pem: string): PeerCertificate {
  if (pem.length > MAX_CERTIFICATE_LENGTH) throw new AdministrationError('certificate_malformed', 'too large')
  const certificate = parse(pem)
  const notBefore = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter))
    throw new AdministrationError('certificate_malformed', 'validity')
  return {
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    // One line: OpenSSL gives a line for each part of the name.
    subject: certificate.subject.replaceAll('\n', ', '),
    notBefore,
    notAfter,
  }
}

/** @throws AdministrationError certificate_expired */
export function refuseExpired({ fingerprint, notAfter }: PeerCertificate, nowMs: number): void {
  if (notAfter <= nowMs) throw new AdministrationError('certificate_expired', fingerprint)
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw new AdministrationError('certificate_malformed', 'not a certificate in PEM', { cause: error })
  }
}
