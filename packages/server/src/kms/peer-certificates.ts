import { X509Certificate } from 'node:crypto'
import { subjectText } from '../certificate-subject.ts'
import type { CertificateFacts } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'

/** Characters of PEM; one with an RSA-4096 key and long names has some 4000. */
export const MAX_CERTIFICATE_LENGTH = 16_384

/** A certificate that came with an order, of a peer or of a CA. */
export interface ReadCertificate extends CertificateFacts {
  /** The one certificate that was read, without what else stood in the text. */
  readonly pem: string
  /** Whether it may issue others. */
  readonly isAuthority: boolean
}

/** What a certificate (PEM) says. @throws AdministrationError certificate_malformed */
export function readCertificate(pem: string): ReadCertificate {
  if (pem.length > MAX_CERTIFICATE_LENGTH) throw new AdministrationError('certificate_malformed', 'too large')
  const certificate = parse(pem)
  const notBefore = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter))
    throw new AdministrationError('certificate_malformed', 'validity')
  return {
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    subject: subjectText(certificate),
    notBefore,
    notAfter,
    pem: certificate.toString(),
    isAuthority: certificate.ca,
  }
}

/** @throws AdministrationError certificate_expired */
export function refuseExpired({ fingerprint, notAfter }: CertificateFacts, nowMs: number): void {
  if (notAfter <= nowMs) throw new AdministrationError('certificate_expired', fingerprint)
}

/** The certificates of one order, by fingerprint. */
export class OrderCertificates {
  readonly #known: ReadonlyMap<string, ReadCertificate>
  readonly #taken = new Set<string>()

  /** @throws AdministrationError certificate_malformed */
  constructor(pems: readonly string[]) {
    this.#known = new Map(pems.map(readCertificate).map((certificate) => [certificate.fingerprint, certificate]))
  }

  /** The one that a change names. @throws AdministrationError certificate_mismatch */
  take(fingerprint: string): ReadCertificate {
    const certificate = this.#known.get(fingerprint)
    if (certificate === undefined)
      throw new AdministrationError('certificate_mismatch', `no certificate ${fingerprint} came with the order`)
    this.#taken.add(fingerprint)
    return certificate
  }

  /** One that no change names was not looked at by whoever signed. @throws AdministrationError certificate_mismatch */
  refuseUnused(): void {
    for (const fingerprint of this.#known.keys())
      if (!this.#taken.has(fingerprint))
        throw new AdministrationError('certificate_mismatch', `the order does not name ${fingerprint}`)
  }
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw new AdministrationError('certificate_malformed', 'not a certificate in PEM', { cause: error })
  }
}
