import 'reflect-metadata'
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

/**
 * The private CA of an installation and what it issues: EC P-256, ECDSA with SHA-256. Everything is PEM; private keys
 * are PKCS #8.
 */
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY_MS = 86_400_000
const CA_DAYS = 3653
/** What TLS stacks accept at most of a server certificate. */
const LEAF_DAYS = 825
/** Clocks differ a little; a certificate must be good at once. */
const BACKDATE_MS = 5 * 60_000

export interface CertificateAndKey {
  readonly certificate: string
  readonly privateKey: string
}

/** Makes a CA of its own, for ten years. */
export async function createCa(name: string): Promise<CertificateAndKey> {
  const keys = await generateKeys()
  const subject = commonName(name)
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(CA_DAYS),
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: pem(certificate), privateKey: await exportKey(keys.privateKey) }
}

/** Issues a server certificate for host names and IP addresses. */
export async function issueServerCertificate(
  ca: CertificateAndKey,
  names: readonly [string, ...string[]],
): Promise<CertificateAndKey> {
  const alternatives = names.map((name) => ({
    type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const),
    value: name,
  }))
  return await issueLeaf(ca, names[0], [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension(alternatives),
  ])
}

/** Issues a client certificate to a peer: its NetID or AS-ID is the common name. */
export async function issueClientCertificate(ca: CertificateAndKey, name: string): Promise<CertificateAndKey> {
  return await issueLeaf(ca, name, [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])])
}

/** SHA-256 of a certificate's DER, 64 lower-case hex digits. @throws Error when the PEM is no certificate */
export function certificateFingerprint(certificatePem: string): string {
  return createHash('sha256').update(new X509Certificate(certificatePem).raw).digest('hex')
}

async function issueLeaf(
  ca: CertificateAndKey,
  name: string,
  extensions: readonly x509.Extension[],
): Promise<CertificateAndKey> {
  const issuer = new x509.X509Certificate(ca.certificate)
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(LEAF_DAYS),
    subject: commonName(name),
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return { certificate: pem(certificate), privateKey: await exportKey(keys.privateKey) }
}

/** As an object: in a text, quotation marks and commas would be syntax. */
function commonName(name: string): x509.Name {
  return new x509.Name([{ CN: [{ utf8String: name }] }])
}

function common(days: number): x509.X509CertificateCreateParamsBase {
  const now = Date.now()
  // RFC 5280 §4.1.2.2: positive and at most 20 octets; 16 random ones with a leading zero bit are both.
  const serial = randomBytes(16)
  serial.writeUInt8((serial.readUInt8() & 0x7f) | 0x40)
  return {
    serialNumber: serial.toString('hex'),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + days * DAY_MS - BACKDATE_MS),
    signingAlgorithm: KEY_ALGORITHM,
  }
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return `-----BEGIN PRIVATE KEY-----\n${wrapLines(der.toString('base64'))}\n-----END PRIVATE KEY-----\n`
}

async function importKey(privateKeyPem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(privateKeyPem.replace(/-----[A-Z ]+-----/g, ''), 'base64')
  return await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign'])
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}

function wrapLines(text: string): string {
  return (text.match(/.{1,64}/g) ?? []).join('\n')
}
