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
  return selfSign(['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'])
}

/** Self-signed for localhost, with an empty subject: as some public authorities issue them. */
export function makeCertificateWithoutSubject(): TestCertificate {
  return selfSign(['-subj', '/', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'])
}

/** Self-signed, and in nobody's name: it has neither a subject nor alternative names. */
export function makeNamelessCertificate(): TestCertificate {
  return selfSign(['-subj', '/'])
}

function selfSign(names: readonly string[]): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-certificate-'))
  try {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
    run(directory, ['req', '-x509', ...key, '-out', 'cert.pem', '-days', '2', ...names])
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

/** A CA, made by the openssl command. */
export interface TestAuthority extends TestCertificate {
  /** Issues a certificate; what is not said is as a client's should be. */
  issue(leaf?: LeafOptions): TestCertificate
}

export interface LeafOptions {
  readonly commonName?: string
  /** As OpenSSL writes it, `DNS:ns.example` say; null leaves the extension out. */
  readonly alternativeNames?: string | null
  /** `clientAuth`, say; null leaves the extension out. */
  readonly usage?: string | null
  /** `YYYYMMDDHHMMSSZ` */
  readonly notBefore?: string
  readonly notAfter?: string
  readonly digest?: string
  readonly curve?: string
}

export interface AuthorityOptions {
  /** False: it does not say that it is a CA. */
  readonly isAuthority?: boolean
  /** Whose it is; its own without. */
  readonly signer?: TestCertificate
  readonly notBefore?: string
  readonly notAfter?: string
}

const PAST = { notBefore: '20200101000000Z', notAfter: '20200102000000Z' }
const PRESENT = { notBefore: '20200101000000Z', notAfter: '20991231000000Z' }
/** Hours of the year 2020, and years around now. */
export const VALIDITY = { past: PAST, present: PRESENT } as const

export function makeAuthority(name: string, options: AuthorityOptions = {}): TestAuthority {
  const { isAuthority = true, signer, ...validity } = options
  const extensions = isAuthority
    ? ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    : ['basicConstraints=critical,CA:FALSE']
  const authority = sign(name, { extensions, ...PRESENT, ...validity }, signer)
  return { ...authority, issue: (leaf = {}) => issue(authority, leaf) }
}

function issue(authority: TestCertificate, leaf: LeafOptions): TestCertificate {
  const { commonName = 'peer', alternativeNames = 'DNS:ns.example', usage = 'clientAuth' } = leaf
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    ...(alternativeNames === null ? [] : [`subjectAltName=${alternativeNames}`]),
    ...(usage === null ? [] : [`extendedKeyUsage=${usage}`]),
  ]
  return sign(commonName, { extensions, ...PRESENT, ...leaf }, authority)
}

interface Signing {
  readonly extensions: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly digest?: string
  /** P-256 unless something else is said. */
  readonly curve?: string
}

/** Signed by itself without an authority. */
function sign(name: string, signing: Signing, authority: TestCertificate | undefined): TestCertificate {
  const { extensions, notBefore, notAfter, digest = 'sha256', curve = 'P-256' } = signing
  const directory = mkdtempSync(join(tmpdir(), 'mortise-certificate-'))
  try {
    const configuration = `${EXPIRED_CONFIGURATION}[extensions]\n${extensions.join('\n')}\n`
    writeFileSync(join(directory, 'ca.cnf'), configuration)
    writeFileSync(join(directory, 'index'), '')
    const request = ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-nodes', '-subj', `/CN=${name}`]
    run(directory, ['req', ...request, '-keyout', 'key.pem', '-out', 'request.pem'])
    if (authority !== undefined) {
      writeFileSync(join(directory, 'ca.pem'), authority.cert)
      writeFileSync(join(directory, 'ca-key.pem'), authority.key)
    }
    const signer =
      authority === undefined ? ['-selfsign', '-keyfile', 'key.pem'] : ['-cert', 'ca.pem', '-keyfile', 'ca-key.pem']
    const options = [
      '-config',
      'ca.cnf',
      '-extensions',
      'extensions',
      '-batch',
      '-notext',
      '-rand_serial',
      '-md',
      digest,
    ]
    const validity = ['-startdate', notBefore, '-enddate', notAfter]
    run(directory, ['ca', ...options, ...signer, '-in', 'request.pem', '-out', 'cert.pem', ...validity])
    return readCertificate(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
