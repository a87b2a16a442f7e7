import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { certificateNames, isNamed, publicNames } from '../../src/http/certificates-names.ts'
import { readCertificatePair } from '../../src/http/certificates.ts'
import { type MadePair, TlsFiles } from '../support/tls-files.ts'

let files: TlsFiles
let good: MadePair
let other: MadePair
beforeAll(() => {
  files = new TlsFiles()
  good = files.make()
  other = files.make()
})
afterAll(() => {
  files[Symbol.dispose]()
})
beforeEach(() => {
  rmSync(files.certificate, { recursive: true, force: true })
  files.write(good)
})

function read(): string {
  return new X509Certificate(readCertificatePair(files, Date.now()).tls.cert).subject
}

/** What it is refused with. */
function refusal(): { code: unknown; message: string; hint: unknown } {
  try {
    read()
  } catch (error) {
    const { code, message, hint } = error as Error & { code?: unknown; hint?: unknown }
    return { code, message, hint }
  }
  throw new Error('it was taken')
}

describe('a certificate and its key', () => {
  it('are taken when they are a pair, good now and for servers', () => {
    expect(read()).toBe(new X509Certificate(good.cert).subject)
  })

  it('may be followed by the certificate that issued it', () => {
    files.write({ cert: `${good.cert}${other.cert}` })
    expect(read()).toBe(new X509Certificate(good.cert).subject)
  })

  it.each([
    ['without extended key usage: it is for everything', { usage: '' }],
    ['for servers and clients', { usage: 'clientAuth,serverAuth' }],
    ['for any usage', { usage: 'anyExtendedKeyUsage' }],
    ['with an RSA key of 2048 bits', { key: ['rsa:2048'] }],
    ['with an Ed25519 key', { key: ['ed25519'], digest: 'null' }],
  ])('are taken %s', (_what, options) => {
    const pair = files.make(options)
    files.write(pair)
    expect(read()).toBe(new X509Certificate(pair.cert).subject)
  })

  it.each<[string, () => void, string, RegExp]>([
    ['a key of another certificate', () => files.write({ key: other.key }), 'certificate_key_mismatch', /not match/],
    [
      'the issuer before the certificate of the server',
      () => files.write({ cert: `${other.cert}${good.cert}` }),
      'certificate_key_mismatch',
      /not the first/,
    ],
    ['one that expired', () => files.write(files.make({ until: '20200102' })), 'certificate_expired', /2020-01-02/],
    [
      'one of the future',
      () => files.write(files.make({ from: '20980101' })),
      'certificate_not_yet_valid',
      /not valid before 2098-01-01/,
    ],
    [
      'one for clients',
      () => files.write(files.make({ usage: 'clientAuth' })),
      'certificate_not_for_servers',
      /lacks serverAuth/,
    ],
    [
      'an RSA key of 1024 bits',
      () => files.write(files.make({ key: ['rsa:1024'] })),
      'certificate_unfit',
      /key too small/,
    ],
    ['no certificate file', () => rmSync(files.certificate), 'certificate_missing', /cert\.pem does not exist/],
    ['half a certificate', () => files.write({ cert: good.cert.slice(0, 300) }), 'certificate_malformed', /damaged/],
    [
      'a certificate that lost a byte',
      () => files.write({ cert: good.cert.replace(/\n.(?=.{10})/, '\n') }),
      'certificate_malformed',
      /damaged/,
    ],
    [
      'a directory',
      () => {
        rmSync(files.certificate)
        mkdirSync(files.certificate)
      },
      'certificate_unreadable',
      /not a file/,
    ],
    ['half a key', () => files.write({ key: good.key.slice(0, 100) }), 'certificate_key_malformed', /private key/],
    ['an empty key file', () => files.write({ key: '' }), 'secret_file_empty', /key\.pem is empty/],
    ['no key file', () => rmSync(files.key), 'secret_file_missing', /key\.pem does not exist/],
    ['a key that others can read', () => chmodSync(files.key, 0o640), 'secret_file_exposed', /read by others/],
    ['a key under a passphrase', () => files.write({ key: encrypted(good.key) }), 'certificate_key_encrypted', /open/],
  ])('are refused: %s', (_what, damage, code, message) => {
    damage()
    const refused = refusal()
    expect(refused.code).toBe(code)
    expect(`${refused.message} ${String(refused.hint)}`).toMatch(message)
    // Nothing of the key is told.
    expect(JSON.stringify(refused)).not.toContain(good.key.split('\n')[1])
  })
})

function encrypted(key: string): string {
  const path = join(files.root, 'encrypted.pem')
  writeFileSync(path, key)
  return execFileSync('openssl', ['pkey', '-aes256', '-passout', 'pass:word', '-in', path]).toString()
}

describe('the names of a certificate', () => {
  it('are DNS names and addresses, in its order, and nothing that only looks like one', () => {
    const names = 'DNS:js.example,IP:127.0.0.1,IP:::1,URI:http://a/?DNS:evil.example,email:a@b.example,DNS:*.eu.example'
    const certificate = new X509Certificate(files.make({ names }).cert)
    expect(certificateNames(certificate)).toEqual(['js.example', '127.0.0.1', '::1', '*.eu.example'])
  })

  it('are none without the extension, whatever the common name', () => {
    expect(certificateNames(new X509Certificate(files.make({ names: '' }).cert))).toEqual([])
  })

  it('cover what a client may ask for', () => {
    const certificate = new X509Certificate(files.make({ names: 'DNS:*.eu.example,IP:192.0.2.1' }).cert)
    expect(['js.eu.example', '192.0.2.1'].map((name) => isNamed(certificate, name))).toEqual([true, true])
    expect(['eu.example', 'a.b.eu.example', '192.0.2.2'].map((name) => isNamed(certificate, name))).toEqual([
      ...[false, false, false],
    ])
  })

  it('are known to others unless they mean this machine to itself', () => {
    const names = `DNS:localhost,IP:127.0.0.1,IP:::1,DNS:${hostname()},DNS:js.example`
    expect(publicNames(new X509Certificate(files.make({ names }).cert))).toEqual(['js.example'])
  })
})
