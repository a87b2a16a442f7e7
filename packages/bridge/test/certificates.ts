import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate for 127.0.0.1 that signs itself, made by OpenSSL. */
export class TestCertificate implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'mortise-bridge-tls-'))
  readonly certFile = join(this.#directory, 'cert.pem')
  readonly keyFile = join(this.#directory, 'key.pem')

  constructor() {
    const what = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    execFileSync('openssl', ['req', ...what, ...names, '-keyout', this.keyFile, '-out', this.certFile], {
      stdio: 'ignore',
    })
  }

  get cert(): Buffer {
    return readFileSync(this.certFile)
  }

  get key(): Buffer {
    return readFileSync(this.keyFile)
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true })
  }
}
