import type { X509Certificate } from 'node:crypto'

/** Node says that every certificate has a subject; of one whose subject is empty it is undefined all the same. */
export interface WithSubject {
  readonly subject: X509Certificate['subject'] | undefined
}

/** The parts of the subject, `CN=ns.example` say, as OpenSSL writes them: control characters and separators are escaped. */
export function subjectParts({ subject }: WithSubject): string[] {
  return subject?.split('\n') ?? []
}

/** The subject for people, on one line. */
export function subjectText(certificate: WithSubject): string {
  const parts = subjectParts(certificate)
  return parts.length === 0 ? '(no subject)' : parts.join(', ')
}
