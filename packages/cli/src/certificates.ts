import 'reflect-metadata'
import { createHash, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { CliError } from './errors.ts'

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

const CLIENT_USAGE = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])
/** Keys of certificate requests: curves as OpenSSL names them. */
const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1']
const MIN_RSA_BITS = 2048
/** Some programs say NEW. */
const REQUEST = /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[^-]+-----END (NEW )?CERTIFICATE REQUEST-----/

export interface CertificateAndKey {
  readonly certificate: string
  readonly privateKey: string
}

/** Makes a CA of its own, for ten years. */
export async function createCa(name: string): Promise<CertificateAndKey> {
  const keys = await generateKeys()
  const certificate = await selfSign(commonName(name), keys.publicKey, keys.privateKey)
  return { certificate, privateKey: await exportKey(keys.privateKey) }
}

/**
 * The certificate of a CA for another ten years, under the same name and key: whatever it has issued is good under the
 * old one and the new one.
 */
export async function renewCa(ca: CertificateAndKey): Promise<string> {
  const spki = new X509Certificate(ca.certificate).publicKey.export({ type: 'spki', format: 'der' })
  const publicKey = await webcrypto.subtle.importKey('spki', spki, KEY_ALGORITHM, true, ['verify'])
  const { subjectName } = new x509.X509Certificate(ca.certificate)
  return await selfSign(subjectName, publicKey, await importKey(ca.privateKey))
}

async function selfSign(
  subject: x509.Name,
  publicKey: webcrypto.CryptoKey,
  signingKey: webcrypto.CryptoKey,
): Promise<string> {
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(CA_DAYS),
    ...{ subject, issuer: subject, publicKey, signingKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return pem(certificate)
}

/** Issues a server certificate for host names and IP addresses. */
export async function issueServerCertificate(
  ca: CertificateAndKey,
  names: readonly [string, ...string[]],
): Promise<CertificateAndKey> {
  // Also a client's: asynchronous answers are posted to peers with it.
  return await issueForNames(ca, names, [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth])
}

/** Issues a certificate to a peer's listener, where answers are posted to: it opens nothing here. */
export async function issueListenerCertificate(ca: CertificateAndKey, host: string): Promise<CertificateAndKey> {
  return await issueForNames(ca, [host], [x509.ExtendedKeyUsage.serverAuth])
}

async function issueForNames(
  ca: CertificateAndKey,
  names: readonly [string, ...string[]],
  usages: x509.ExtendedKeyUsage[],
): Promise<CertificateAndKey> {
  const alternatives = names.map((name) => ({
    type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const),
    value: name,
  }))
  return await issueLeaf(ca, names[0], [
    new x509.ExtendedKeyUsageExtension(usages),
    new x509.SubjectAlternativeNameExtension(alternatives),
  ])
}

/** Issues a client certificate to a peer: its NetID or AS-ID is the common name. */
export async function issueClientCertificate(ca: CertificateAndKey, name: string): Promise<CertificateAndKey> {
  return await issueLeaf(ca, name, [CLIENT_USAGE])
}

/**
 * Issues a client certificate for the key of a certificate request (PKCS #10, PEM), whose holder has shown in it that it
 * is theirs. Nothing else is taken from the request: name and extensions are as {@link issueClientCertificate} has them.
 * @throws CliError csr_malformed, csr_key_unfit, csr_signature_invalid
 */
export async function certifyRequest(ca: CertificateAndKey, requestPem: string, name: string): Promise<string> {
  const request = readRequest(requestPem)
  refuseUnfitKey(request)
  if (!(await isSignedByItsKey(request)))
    throw new CliError('csr_signature_invalid', 'the certificate request is not signed by the key that it names', {
      hint: 'have the peer make a new one with its private key',
    })
  return await certify(ca, name, request.publicKey, [CLIENT_USAGE])
}

/** Makes a private key and the certificate request (PKCS #10) with which its holder shows that it is theirs. */
export async function createRequest(name: string): Promise<{ request: string; privateKey: string }> {
  const keys = await generateKeys()
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    ...{ name: commonName(name), keys, signingAlgorithm: KEY_ALGORITHM },
  })
  return { request: `${request.toString('pem')}\n`, privateKey: await exportKey(keys.privateKey) }
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
  const keys = await generateKeys()
  const certificate = await certify(ca, name, keys.publicKey, extensions)
  return { certificate, privateKey: await exportKey(keys.privateKey) }
}

async function certify(
  ca: CertificateAndKey,
  name: string,
  publicKey: x509.PublicKey | webcrypto.CryptoKey,
  extensions: readonly x509.Extension[],
): Promise<string> {
  const issuer = new x509.X509Certificate(ca.certificate)
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(LEAF_DAYS, issuer.notAfter),
    subject: commonName(name),
    issuer: issuer.subjectName,
    publicKey,
    signingKey: await importKey(ca.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return pem(certificate)
}

function readRequest(requestPem: string): x509.Pkcs10CertificateRequest {
  const [block] = REQUEST.exec(requestPem) ?? []
  try {
    if (block !== undefined) return new x509.Pkcs10CertificateRequest(block)
  } catch {
    // Said below.
  }
  throw new CliError('csr_malformed', 'there is no certificate request in the file', {
    hint: 'a PEM that begins with -----BEGIN CERTIFICATE REQUEST----- is expected',
  })
}

/** False as well for a signature of a kind that is not known. */
async function isSignedByItsKey(request: x509.Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify()
  } catch {
    return false
  }
}

function refuseUnfitKey({ publicKey }: x509.Pkcs10CertificateRequest): void {
  if (isFit(Buffer.from(publicKey.rawData))) return
  throw new CliError('csr_key_unfit', 'the key of the certificate request is not one that TLS servers take', {
    hint: `have it made anew with an EC key (P-256) or an RSA key of at least ${MIN_RSA_BITS} bits`,
  })
}

function isFit(spki: Buffer): boolean {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
    if (key.asymmetricKeyType === 'ec') return CURVES.includes(namedCurve)
    return key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS
  } catch {
    // Of a kind that OpenSSL does not know.
    return false
  }
}

/** As an object: in a text, quotation marks and commas would be syntax. */
function commonName(name: string): x509.Name {
  return new x509.Name([{ CN: [{ utf8String: name }] }])
}

/** `end`: of the issuer, which no certificate outlives. */
function common(days: number, end?: Date): x509.X509CertificateCreateParamsBase {
  const now = Date.now()
  // RFC 5280 §4.1.2.2: positive and at most 20 octets; 16 random ones with a leading zero bit are both.
  const serial = randomBytes(16)
  serial.writeUInt8((serial.readUInt8() & 0x7f) | 0x40)
  return {
    serialNumber: serial.toString('hex'),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(Math.min(now + days * DAY_MS - BACKDATE_MS, end?.getTime() ?? Infinity)),
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
