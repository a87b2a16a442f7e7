import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { readSecretFile } from '@mortise/hsm'
import type { TlsFiles } from '../config/index.ts'
import { fitnessFor } from '../key-usage.ts'
import { messageOf } from '../message-of.ts'
import { TLS_OPTIONS } from './tls-options.ts'

export type CertificateErrorCode =
  | 'certificate_missing'
  | 'certificate_unreadable'
  | 'certificate_malformed'
  | 'certificate_key_malformed'
  | 'certificate_key_encrypted'
  | 'certificate_key_mismatch'
  | 'certificate_expired'
  | 'certificate_not_yet_valid'
  | 'certificate_not_for_servers'
  /** What TLS itself does not take: a key that is too short, a signature that is too weak. */
  | 'certificate_unfit'

/** A certificate that cannot be served. `hint` is what to do about it. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
  readonly code: CertificateErrorCode
  readonly hint: string

  constructor(code: CertificateErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}

/** A certificate that fits its key and is good now. */
export interface CertificatePair {
  /** What a listener takes; PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly leaf: X509Certificate
}

const MAX_CERTIFICATE_FILE_BYTES = 1024 * 1024
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/**
 * Reads a certificate and its key, and refuses what peers would refuse, or what is no pair.
 * @throws CertificateError; SecretFileError when the key cannot be read, or others can read it
 */
export function readCertificatePair(files: TlsFiles, nowMs: number): CertificatePair {
  const cert = readCertificateText(files.certificate)
  const [leaf, ...others] = parseCertificates(files.certificate, cert)
  const key = readSecretFile(files.key, 'name the private key of the certificate').toString()
  const privateKey = parsePrivateKey(files.key, key)
  refuseMismatch(files, privateKey, leaf, others)
  refuseTime(files.certificate, leaf, nowMs)
  refuseUsage(files.certificate, leaf)
  const tls = { cert, key }
  try {
    createSecureContext({ ...TLS_OPTIONS, ...tls })
  } catch (error) {
    throw new CertificateError(
      'certificate_unfit',
      `${files.certificate} cannot be used for TLS: ${messageOf(error)}`,
      'get one with a key on the curve P-256, or RSA of 2048 bits or more, that is signed with SHA-256',
      { cause: error },
    )
  }
  return { tls, leaf }
}

/** The first certificate of a PEM file, whether it is good or not. @throws CertificateError */
export function readCertificateFile(path: string): X509Certificate {
  return parseCertificates(path, readCertificateText(path))[0]
}

function readCertificateText(path: string): string {
  const hint = 'name the PEM file of the certificate'
  try {
    const stats = statSync(path)
    if (stats.isFile() && stats.size <= MAX_CERTIFICATE_FILE_BYTES) return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new CertificateError('certificate_missing', `${path} does not exist`, hint, { cause: error })
    throw new CertificateError('certificate_unreadable', `${path} cannot be read`, 'check its owner', { cause: error })
  }
  throw new CertificateError('certificate_unreadable', `${path} is not a file of certificates`, hint)
}

function parseCertificates(path: string, text: string): [X509Certificate, ...X509Certificate[]] {
  try {
    const [leaf, ...others] = (text.match(CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem))
    if (leaf !== undefined) return [leaf, ...others]
  } catch (error) {
    throw malformed(path, { cause: error })
  }
  throw malformed(path)
}

function malformed(path: string, options?: ErrorOptions): CertificateError {
  return new CertificateError(
    'certificate_malformed',
    `${path} holds no certificate in PEM, or a damaged one`,
    'DER becomes PEM with: openssl x509 -inform der -in FILE -out FILE.pem',
    options,
  )
}

function parsePrivateKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    // The texts of OpenSSL differ with the form of the key; the heading of the file does not.
    if (/ENCRYPTED/.test(pem))
      throw new CertificateError(
        'certificate_key_encrypted',
        `${path} is encrypted, and nobody is asked for its passphrase at a start`,
        `(umask 077 && openssl pkey -in ${path} -out ${path}.open) opens it`,
        { cause: error },
      )
    throw new CertificateError(
      'certificate_key_malformed',
      `${path} holds no private key in PEM, or a damaged one`,
      'name the private key of the certificate',
      { cause: error },
    )
  }
}

function refuseMismatch(
  files: TlsFiles,
  key: KeyObject,
  leaf: X509Certificate,
  others: readonly X509Certificate[],
): void {
  if (leaf.checkPrivateKey(key)) return
  if (others.some((certificate) => certificate.checkPrivateKey(key)))
    throw new CertificateError(
      'certificate_key_mismatch',
      `the certificate of the key ${files.key} is not the first one in ${files.certificate}`,
      "put the server's own certificate first, and after it the one that issued it",
    )
  throw new CertificateError(
    'certificate_key_mismatch',
    `the key ${files.key} does not match the certificate ${files.certificate}`,
    'name the key that the certificate was requested with; after a renewal that was interrupted it is key.pem.old beside it',
  )
}

function refuseTime(path: string, { validFromDate, validToDate }: X509Certificate, nowMs: number): void {
  if (validToDate.getTime() <= nowMs)
    throw new CertificateError(
      'certificate_expired',
      `${path} expired on ${validToDate.toISOString()}`,
      'get a new one; the CA of the installation issues one with: mortise certificate renew',
    )
  if (validFromDate.getTime() > nowMs)
    throw new CertificateError(
      'certificate_not_yet_valid',
      `${path} is not valid before ${validFromDate.toISOString()}`,
      'wait for that, or is the clock of this machine wrong?',
    )
}

function refuseUsage(path: string, certificate: X509Certificate): void {
  if (fitnessFor('server', certificate) !== 'other') return
  throw new CertificateError(
    'certificate_not_for_servers',
    `${path} is not for TLS servers: its extended key usage lacks serverAuth`,
    'ask its CA for a server certificate; one for clients does not do',
  )
}
