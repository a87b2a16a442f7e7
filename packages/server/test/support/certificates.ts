import { X509Certificate } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TestCertificate {
  readonly cert: string
  readonly key: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** A self-signed certificate for localhost, made by the openssl command. */
export function makeCertificate(name: string): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-certificate-'))
  try {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    run(directory, ['req', '-x509', ...key, '-out', 'cert.pem', '-days', '2', ...subject])
    return readCertificate(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A self-signed certificate that was valid for some hours of the year 2020. */
export function makeExpiredCertificate(name: string): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-certificate-'))
  try {
    const configuration = join(directory, 'ca.cnf')
    writeFileSync(configuration, EXPIRED_CONFIGURATION)
    writeFileSync(join(directory, 'index'), '')
    const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`]
    run(directory, ['req', ...request, '-keyout', 'key.pem', '-out', 'request.pem'])
    const validity = ['-startdate', '20200101000000Z', '-enddate', '20200101120000Z']
    const self = ['-selfsign', '-keyfile', 'key.pem', '-in', 'request.pem', '-out', 'cert.pem']
    run(directory, ['ca', '-config', configuration, '-batch', '-notext', '-rand_serial', ...self, ...validity])
    return readCertificate(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const EXPIRED_CONFIGURATION = `
[ca]
default_ca = own
[own]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
`

function run(directory: string, options: readonly string[]): void {
  execFileSync('openssl', options, { stdio: 'ignore', cwd: directory })
}

function readCertificate(directory: string): TestCertificate {
  const cert = readFileSync(join(directory, 'cert.pem'), 'utf8')
  const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
  return { cert, key: readFileSync(join(directory, 'key.pem'), 'utf8'), fingerprint }
}
