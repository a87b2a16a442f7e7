import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface MadePair {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly fingerprint: string
}

export interface PairOptions {
  /** As in OpenSSL's configuration; none: no such extension. */
  readonly names?: string | undefined
  readonly usage?: string | undefined
  /** YYYYMMDD, or with hhmmss. */
  readonly from?: string
  readonly until?: string
  readonly key?: readonly string[]
  readonly digest?: string
}

const CURVE = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
let made = 0

/** A directory with the certificate and the key of a server, made by the openssl command. */
export class TlsFiles implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'mortise-tls-'))
  readonly certificate = join(this.root, 'cert.pem')
  readonly key = join(this.root, 'key.pem')

  /** A self-signed pair that is good for localhost today, unless said otherwise. */
  make(options: PairOptions = {}): MadePair {
    const {
      names = 'DNS:localhost,IP:127.0.0.1',
      usage = 'serverAuth',
      from = '20200101',
      until = '20990101',
    } = options
    const directory = join(this.root, `made-${++made}`)
    mkdirSync(directory)
    const extensions = [
      names === '' ? '' : `subjectAltName=${names}`,
      usage === '' ? '' : `extendedKeyUsage=${usage}`,
      'basicConstraints=CA:FALSE',
    ]
    writeFileSync(join(directory, 'ca.cnf'), configuration(options.digest ?? 'sha256', extensions))
    writeFileSync(join(directory, 'index'), '')
    const run = (...words: string[]): void => {
      execFileSync('openssl', words, { stdio: 'pipe', cwd: directory })
    }
    const key = ['-newkey', ...(options.key ?? CURVE), '-nodes', '-keyout', 'key.pem']
    run('req', ...key, '-subj', `/CN=made-${made}`, '-out', 'request.pem')
    const validity = ['-startdate', `${from.padEnd(14, '0')}Z`, '-enddate', `${until.padEnd(14, '0')}Z`]
    const self = ['-selfsign', '-keyfile', 'key.pem', '-in', 'request.pem', '-out', 'cert.pem']
    run('ca', '-config', 'ca.cnf', '-batch', '-notext', '-rand_serial', ...self, ...validity)
    const cert = readFileSync(join(directory, 'cert.pem'), 'utf8')
    const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
    return { cert, key: readFileSync(join(directory, 'key.pem'), 'utf8'), fingerprint }
  }

  write({ cert, key }: Partial<MadePair>): void {
    if (cert !== undefined) writeFileSync(this.certificate, cert)
    if (key === undefined) return
    writeFileSync(this.key, key, { mode: 0o600 })
    chmodSync(this.key, 0o600)
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true })
  }
}

function configuration(digest: string, extensions: readonly string[]): string {
  return `
[ca]
default_ca = own
[own]
database = index
serial = serial
new_certs_dir = .
default_md = ${digest}
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
${extensions.join('\n')}
`
}
