import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueServerCertificate } from '../../packages/cli/src/certificates.ts'
import type { Installation } from './installation.ts'

/** PEM: what a network server's own listener shows, and the authority of whoever may post to it. */
export interface ListenerTls {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** For a listener on 127.0.0.1, from the installation's CA, which Mortise checks when it posts. */
export async function issueListenerTls({ data }: Pick<Installation, 'data'>): Promise<ListenerTls> {
  const ca = readFileSync(join(data, 'ca.pem'), 'utf8')
  const authority = { certificate: ca, privateKey: readFileSync(join(data, 'operator', 'ca-key.pem'), 'utf8') }
  const { certificate, privateKey } = await issueServerCertificate(authority, ['127.0.0.1'])
  return { cert: certificate, key: privateKey, ca }
}
