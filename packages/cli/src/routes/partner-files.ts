import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { readSecretFile } from '@mortise/hsm'
import { fitnessFor } from '@mortise/server'
import { certificateFingerprint } from '../certificates.ts'
import { CliError } from '../errors.ts'
import { readTextFile } from '../files.ts'

/** A certificate of a route. */
export interface PartnerCertificate {
  readonly pem: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  readonly notAfter: string
}

/** What another join server gave out, for us to ask it. */
export interface PartnerFiles {
  /** That we show. */
  readonly certificate: PartnerCertificate
  /** PEM. */
  readonly privateKey: string
  /** CA that the other join server is checked against. */
  readonly authority: PartnerCertificate
}

/**
 * Reads cert.pem, key.pem and ca.pem, and says at once what would fail later.
 * @throws CliError; SecretFileError when others can read the key
 */
export function readPartnerFiles(directory: string): PartnerFiles {
  const [certificatePath, keyPath, authorityPath] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) =>
    join(directory, name),
  ) as [string, string, string]
  const certificate = readCertificate(certificatePath, 'the client certificate')
  const authority = readCertificate(authorityPath, 'the CA certificate')
  const privateKey = readSecretFile(keyPath, 'it is the private key of cert.pem').toString()
  if (!certificate.checkPrivateKey(parseKey(keyPath, privateKey)))
    throw new CliError('certificate_key_mismatch', `${keyPath} is not the key of ${certificatePath}`)
  refuseUsage(certificatePath, certificate)
  return { certificate: factsOf(certificate), privateKey, authority: factsOf(authority) }
}

function readCertificate(path: string, what: string): X509Certificate {
  const text = readTextFile(path, what, 'the directory has cert.pem, key.pem and ca.pem of the other join server')
  if (text.split('-----BEGIN CERTIFICATE-----').length > 2)
    throw new CliError('certificate_ambiguous', `${path} holds more than one certificate`, {
      hint: 'leave the one in it that is shown, or that issues the certificates of the other join server itself',
    })
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(text)
  } catch (error) {
    throw new CliError('certificate_malformed', `${path} holds no certificate in PEM`, { cause: error })
  }
  if (certificate.validToDate.getTime() > Date.now()) return certificate
  throw new CliError('certificate_expired', `${path} expired on ${certificate.validToDate.toISOString()}`, {
    hint: 'ask the other join server for a new one',
  })
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw new CliError('certificate_key_malformed', `${path} holds no private key in PEM that can be read`, {
      hint: 'an encrypted one is opened with: openssl pkey -in key.pem',
      cause: error,
    })
  }
}

function refuseUsage(path: string, certificate: X509Certificate): void {
  if (fitnessFor('client', certificate) !== 'other') return
  throw new CliError('certificate_not_for_clients', `${path} is not for TLS clients: it lacks clientAuth`, {
    hint: 'ask the other join server for a client certificate',
  })
}

function factsOf(certificate: X509Certificate): PartnerCertificate {
  const pem = certificate.toString()
  return { pem, fingerprint: certificateFingerprint(pem), notAfter: certificate.validToDate.toISOString() }
}
