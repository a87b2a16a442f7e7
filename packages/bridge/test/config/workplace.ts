import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const KEK = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
export const PASSWORD = 'tin-whistle-above-the-harbour'

/** A directory with every file that the configurations of these tests name. */
export class Workplace implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'mortise-bridge-config-'))

  constructor() {
    this.secret('kek.hex', `${KEK}\n`)
    this.secret('kek-16.hex', `${KEK.slice(0, 32)}\n`)
    this.secret('password', `${PASSWORD}\n`)
    this.secret('token', 'a1b2c3\n')
    this.secret('as.header', 'Authorization: Bearer d4e5f6\n')
    this.secret('door.js', 'function decodeUplink() { return { data: {} } }\n', 0o644)
    this.#certificate('own')
    this.#certificate('other')
  }

  path(name: string): string {
    return join(this.root, name)
  }

  secret(name: string, content: string, mode = 0o600): string {
    const path = this.path(name)
    writeFileSync(path, content, { mode })
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  #certificate(name: string): void {
    const files = ['-keyout', this.path(`${name}.key`), '-out', this.path(`${name}.pem`)]
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    execFileSync('openssl', ['req', '-x509', ...key, ...files, '-subj', `/CN=${name}`, '-days', '2'], {
      stdio: 'ignore',
    })
  }
}
