import type { X509Certificate } from 'node:crypto'
import { subjectText } from '../certificate-subject.ts'
import type { InstalledCertificate, OwnCertificates } from '../kms/index.ts'
import { certificateNames } from './certificates-names.ts'
import { CertificateError, readCertificateFile } from './certificates.ts'

interface Shown {
  /** What a listener shows now. */
  readonly certificate: X509Certificate
}

interface ByListener<T> {
  readonly backendInterfaces: T
  readonly managementApi: T
}

/** The certificates of a running server: what its listeners show, and the CA in the directory. */
export function shownCertificates(shown: ByListener<Shown>, caFile: string): OwnCertificates {
  return () => [
    ...byListener(shown).map(([id, { certificate }]) => describe('server', id, certificate)),
    ...describeFile('ca', 'installation', caFile),
  ]
}

/** The same where no server runs: what its files hold, as far as they can be read. */
export function filedCertificates(files: ByListener<string>, caFile: string): OwnCertificates {
  return () => [
    ...byListener(files).flatMap(([id, path]) => describeFile('server', id, path)),
    ...describeFile('ca', 'installation', caFile),
  ]
}

/** One where both listeners have the same. */
function byListener<T>({ backendInterfaces, managementApi }: ByListener<T>): (readonly [id: string, T])[] {
  if (backendInterfaces === managementApi) return [['listeners', managementApi]]
  return [
    ['backend-interfaces', backendInterfaces],
    ['management-api', managementApi],
  ]
}

function describe(kind: 'server' | 'ca', id: string, certificate: X509Certificate): InstalledCertificate {
  return {
    kind,
    id,
    subject: subjectText(certificate),
    names: certificateNames(certificate),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    isAuthority: kind === 'ca',
    isDisabled: false,
  }
}

/** None where the file cannot be read: what needs it says so. */
function describeFile(kind: 'server' | 'ca', id: string, path: string): InstalledCertificate[] {
  try {
    return [describe(kind, id, readCertificateFile(path))]
  } catch (error) {
    if (error instanceof CertificateError) return []
    throw error
  }
}
