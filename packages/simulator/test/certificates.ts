import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']

/**
 * Makes ca.crt, server.crt, server.key, client.crt and client.key in `dir` with the openssl command; each key has mode
 * 0600, because openssl writes it so.
 */
export async function makeCertificates(dir: string): Promise<void> {
  const make = (name: string, extra: readonly string[]) =>
    run('openssl', [
      ...['req', '-x509', ...NEW_KEY, '-subj', `/CN=${name}`],
      ...['-keyout', join(dir, `${name}.key`), '-out', join(dir, `${name}.crt`), ...extra],
    ])
  await make('ca', [])
  const signed = ['-CA', join(dir, 'ca.crt'), '-CAkey', join(dir, 'ca.key'), '-addext', 'basicConstraints=CA:FALSE']
  await make('server', [...signed, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'])
  await make('client', [...signed, '-addext', 'extendedKeyUsage=clientAuth'])
}
