import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CertificateAndKey, certifyRequest, createCa } from '../src/certificates.ts'

let ca: CertificateAndKey
let directory: string
beforeAll(async () => {
  ca = await createCa('Test CA')
  directory = mkdtempSync(join(tmpdir(), 'mortise-request-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

/** A request of the openssl command; key.pem beside it is its key. */
function request(newKey: readonly string[], ...more: string[]): string {
  const options = ['req', '-new', '-newkey', ...newKey, '-nodes', '-keyout', 'key.pem', '-out', 'request.pem']
  execFileSync('openssl', [...options, '-subj', '/O=Somebody/CN=000014', ...more], { cwd: directory, stdio: 'ignore' })
  return readFileSync(join(directory, 'request.pem'), 'utf8')
}

const keyOf = () => readFileSync(join(directory, 'key.pem'), 'utf8')

describe('a certificate request', () => {
  test.each([
    ['P-256', EC],
    ['P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['P-521', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521']],
    ['RSA', ['rsa:2048']],
  ])(
    'with a key of %s gets a client certificate for that key, in the name that the operator gave',
    async (_name, key) => {
      const certificate = new X509Certificate(await certifyRequest(ca, request(key), '000013'))
      const issuer = new X509Certificate(ca.certificate)
      expect(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)).toBe(true)
      expect(certificate.publicKey.export({ format: 'pem', type: 'spki' })).toBe(
        execFileSync('openssl', ['pkey', '-pubout'], { input: keyOf(), encoding: 'utf8' }),
      )
      expect(certificate.subject).toBe('CN=000013')
      expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
    },
  )

  test('has no say in what the certificate is good for', async () => {
    const wishes = ['basicConstraints=critical,CA:TRUE', 'subjectAltName=DNS:js.example', 'extendedKeyUsage=serverAuth']
    const pem = request(EC, ...wishes.flatMap((wish) => ['-addext', wish]))
    const certificate = new X509Certificate(await certifyRequest(ca, pem, '000013'))
    expect(certificate.ca).toBe(false)
    expect(certificate.subjectAltName).toBeUndefined()
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  })

  test('may stand among other text, and be called new', async () => {
    const pem = `Dear operator,\n${request(EC).replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')}\nRegards\n`
    expect(new X509Certificate(await certifyRequest(ca, pem, '000013')).subject).toBe('CN=000013')
  })

  test.each<[string, string, () => string]>([
    ['one that was changed', 'csr_signature_invalid', () => withAnotherName(request(EC))],
    ['one with the key of somebody else', 'csr_signature_invalid', () => withAnotherKey(request(EC), request(EC))],
    ['a short RSA key', 'csr_key_unfit', () => request(['rsa:1024'])],
    [
      'a curve that TLS servers do not take',
      'csr_key_unfit',
      () => request(['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1']),
    ],
    ['a certificate', 'csr_malformed', () => ca.certificate],
    ['nothing', 'csr_malformed', () => ''],
    ['a request that ends early', 'csr_malformed', () => shortened(request(EC))],
  ])('is refused: %s', async (_name, code, pem) => {
    await expect(certifyRequest(ca, pem(), '000013')).rejects.toMatchObject({ code })
    await expect(certifyRequest(ca, request(EC), '000013')).resolves.toContain('BEGIN CERTIFICATE')
  })
})

const derOf = (pem: string) => Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
const pemOf = (der: Buffer) =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`

function withAnotherName(pem: string): string {
  const der = derOf(pem)
  der.write('000015', der.indexOf('000014'))
  return pemOf(der)
}

/** The key of one request under the signature of another: both are of one size. */
function withAnotherKey(pem: string, other: string): string {
  const [der, donor] = [derOf(pem), derOf(other)]
  // An uncompressed point: 0x00 of the BIT STRING, 0x04, 64 bytes.
  const mark = Buffer.from('03420004', 'hex')
  donor.copy(der, der.indexOf(mark), donor.indexOf(mark), donor.indexOf(mark) + 68)
  return pemOf(der)
}

function shortened(pem: string): string {
  return pemOf(derOf(pem).subarray(0, 100))
}
