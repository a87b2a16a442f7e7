import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { subjectParts, subjectText } from '../src/certificate-subject.ts'
import { shownCertificates } from '../src/http/certificates-own.ts'
import { readCertificate } from '../src/kms/peer-certificates.ts'
import { makeCertificate, makeCertificateWithoutSubject } from './support/certificates.ts'

/** What is told of a certificate wherever one is shown. */
function shownSubjects(pem: string): string[] {
  const certificate = new X509Certificate(pem)
  const listener = { certificate }
  const own = shownCertificates({ backendInterfaces: listener, managementApi: listener }, '/nonexistent/ca.pem')
  return [subjectText(certificate), readCertificate(pem).subject, ...own().map(({ subject }) => subject)]
}

test('a subject is shown on one line, in its parts', () => {
  const { cert } = makeCertificate('ns.example/O=Example')
  expect(subjectParts(new X509Certificate(cert))).toEqual(['CN=ns.example', 'O=Example'])
  expect(shownSubjects(cert)).toEqual(Array.from({ length: 3 }, () => 'CN=ns.example, O=Example'))
})

test('a certificate without a subject, as some authorities issue them, is shown as well', () => {
  const { cert } = makeCertificateWithoutSubject()
  expect(subjectParts(new X509Certificate(cert))).toEqual([])
  expect(shownSubjects(cert)).toEqual(Array.from({ length: 3 }, () => '(no subject)'))
})
