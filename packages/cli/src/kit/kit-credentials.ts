import { createPrivateKey, X509Certificate } from 'node:crypto'
import { dirname, join } from 'node:path'
import { readSecretFile } from '@mortise/hsm'
import type { PeerView } from '@mortise/server'
import { certificateFingerprint, issueListenerCertificate } from '../certificates.ts'
import { CliError } from '../errors.ts'
import { readTextFile } from '../files.ts'
import type { CreatedPaths } from '../init/created-paths.ts'
import { type IssuerOptions, readIssuer } from '../issuer.ts'
import { certificateOf } from '../peers/credentials.ts'

/** The client certificate of a kit. */
export interface KitCertificate {
  readonly pem: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  readonly notAfter: string
  readonly files: readonly string[]
  /** Whether the peer has to be let in with it yet. */
  readonly isNew: boolean
}

/**
 * Writes cert.pem, key.pem and ca.pem: those in `from`, which `--issue-certificate` wrote, or else a further certificate
 * that is issued for the peer. @throws CliError, SecretFileError
 */
export async function putCertificate(
  created: CreatedPaths,
  directory: string,
  peer: PeerView,
  from: string | undefined,
  issuer: IssuerOptions,
): Promise<KitCertificate> {
  created.directory(dirname(directory))
  if (from !== undefined) return copyCertificate(created, directory, peer, from)
  const { files = [], ...facts } = await certificateOf(peer.id, { ...issuer, issueCertificate: directory }, created)
  return { ...facts, files, isNew: true }
}

/** Writes what a network server shows where answers are posted to it. Returns the names of the files. */
export async function putListenerCertificate(
  created: CreatedPaths,
  directory: string,
  asyncUrl: string,
  issuer: IssuerOptions,
): Promise<string[]> {
  const host = new URL(asyncUrl).hostname.replace(/^\[|\]$/g, '')
  const { certificate, privateKey } = await issueListenerCertificate(readIssuer(issuer), host)
  return putFiles(created, directory, { 'listener-cert.pem': certificate, 'listener-key.pem': privateKey })
}

function copyCertificate(
  created: CreatedPaths,
  directory: string,
  { id, certificates }: PeerView,
  from: string,
): KitCertificate {
  const hint = 'name a directory that `mortise peer add … --issue-certificate` wrote, or leave --certificate out'
  const pem = readTextFile(join(from, 'cert.pem'), 'the certificate', hint)
  const ca = readTextFile(join(from, 'ca.pem'), 'the CA certificate', hint)
  const key = readSecretFile(join(from, 'key.pem'), hint).toString()
  const certificate = readPair(pem, key)
  if (certificate === undefined)
    throw new CliError('certificate_mismatch', `${from}: cert.pem and key.pem are no pair`, { hint })
  const fingerprint = certificateFingerprint(pem)
  if (!certificates.some((known) => known.fingerprint === fingerprint))
    throw new CliError('certificate_unknown', `the certificate in ${from} is not one of the peer ${id}`, {
      hint: `see \`mortise peer show ns:${id}\`, or leave --certificate out to have another issued`,
    })
  created.directory(directory)
  const files = putFiles(created, directory, { 'cert.pem': pem, 'key.pem': key, 'ca.pem': ca })
  return { pem, fingerprint, notAfter: certificate.validToDate.toISOString(), files, isNew: false }
}

function putFiles(created: CreatedPaths, directory: string, contents: Readonly<Record<string, string>>): string[] {
  return Object.entries(contents).map(([name, content]) => {
    const path = join(directory, name)
    created.file(path, content)
    return path
  })
}

function readPair(certificatePem: string, privateKey: string): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(certificatePem)
    return certificate.checkPrivateKey(createPrivateKey(privateKey)) ? certificate : undefined
  } catch {
    return undefined
  }
}
