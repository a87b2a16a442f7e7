import { X509Certificate } from 'node:crypto'
import { dirname } from 'node:path'
import type { PeerAdd } from '@mortise/hsm'
import type { Command } from 'commander'
import { certificateFingerprint, certifyRequest, issueClientCertificate } from '../certificates.ts'
import { CliError, usageError } from '../errors.ts'
import { readTextFile } from '../files.ts'
import { certificateNameOption } from '../identifiers.ts'
import type { CreatedPaths } from '../init/created-paths.ts'
import { type IssuerOptions, readIssuer, refuseExpiredCa, writeIssued } from '../issuer.ts'
import { asPath } from '../options.ts'
import { describeTokenFile, shortToken, type TokenOptions, writeToken } from './tokens.ts'

export interface CertificateOptions extends IssuerOptions {
  readonly issueCertificate?: string
  readonly certificate?: string
  readonly csr?: string
  readonly out?: string
}

export interface CredentialOptions extends CertificateOptions, TokenOptions {
  readonly ca?: string
  readonly name?: string
}

/** A certificate, and what is told about it. */
export interface Credential {
  readonly pem: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  readonly notAfter: string
  /** What was written, when it was issued here. */
  readonly files?: readonly string[]
}

/** What a new peer is known by. */
export interface PeerCredential {
  /** As the order names it. */
  readonly named: Pick<PeerAdd, 'certificate' | 'authority' | 'name' | 'token' | 'header'>
  /** Certificates that go along with the order. */
  readonly pems: readonly string[]
  /** For programs. */
  readonly facts: Readonly<Record<string, unknown>>
  /** For people: `certificate 3f3f3f3f3f3f3f3f…, valid until 2028-01-01` */
  readonly words: string
  /** What is to be done now. */
  readonly next: readonly string[]
}

/** Adds how a peer's certificate comes about. */
export function withCertificate(command: Command): Command {
  return command
    .option('--issue-certificate <outdir>', 'issue one: cert.pem, key.pem and ca.pem go to this directory', asPath)
    .option(
      '--csr <file>',
      "issue one for the peer's own certificate request (PEM): cert.pem and ca.pem come out",
      asPath,
    )
    .option('--out <outdir>', 'where they go with --csr (default: beside the request)', asPath)
    .option('--certificate <file>', 'client certificate that the peer has already (PEM)', asPath)
    .option('--ca-key-file <file>', 'key of the CA (default: ca-key.pem beside the operator key)', asPath)
}

/** Adds the CA and the name that may stand in the place of a certificate. */
export function withAuthority(command: Command): Command {
  return command
    .option('--ca <file>', 'CA that issues its certificates (PEM); with --name', asPath)
    .option('--name <name>', 'DNS name, or else common name, that they carry', certificateNameOption)
}

/** What a new peer is known by: a certificate; a CA and the name that its certificates carry; or a token. */
export async function credentialOf(
  id: string,
  options: CredentialOptions,
  created: CreatedPaths,
): Promise<PeerCredential> {
  const { ca, name, token } = options
  const ways = [options.issueCertificate, options.csr, options.certificate, ca, token].filter(
    (way) => way !== undefined,
  )
  if (ways.length !== 1)
    throw usageError(
      'give one of --issue-certificate OUTDIR, --csr FILE, --certificate FILE, --ca FILE --name NAME, and --token FILE',
    )
  if ((ca === undefined) !== (name === undefined))
    throw usageError('--ca and --name belong together', 'a CA alone would let in everybody to whom it issues')
  if (token === undefined && options.tokenAs !== undefined) throw usageError('--token-as is for --token')
  if (token !== undefined) return tokenCredential(id, token, options, created)
  if (ca === undefined || name === undefined) return await certificateCredential(id, options, created)
  return authorityCredential(ca, name, options)
}

async function certificateCredential(
  id: string,
  options: CredentialOptions,
  created: CreatedPaths,
): Promise<PeerCredential> {
  const { pem, fingerprint, notAfter, files } = await certificateOf(id, options, created)
  return {
    named: { certificate: fingerprint },
    pems: [pem],
    facts: { files, certificate: { fingerprint, notAfter } },
    words: `certificate ${describeValidity(fingerprint, notAfter)}`,
    next: describeFiles(files, options),
  }
}

function authorityCredential(ca: string, name: string, options: CredentialOptions): PeerCredential {
  refuseOut(options)
  const { pem, fingerprint, notAfter } = readAuthority(ca)
  return {
    named: { authority: fingerprint, name },
    pems: [pem],
    facts: { authority: { fingerprint, notAfter, name } },
    words: `certificates for ${name} of CA ${describeValidity(fingerprint, notAfter)}`,
    next: [],
  }
}

function tokenCredential(id: string, path: string, options: CredentialOptions, created: CreatedPaths): PeerCredential {
  refuseOut(options)
  const named = writeToken(id, path, options, created)
  const token = { digest: named.token, header: named.header }
  return {
    named,
    pems: [],
    facts: { files: [path], token },
    words: `token ${shortToken(token)}`,
    next: [describeTokenFile(path)],
  }
}

function describeValidity(fingerprint: string, notAfter: string): string {
  return `${fingerprint.slice(0, 16)}…, valid until ${notAfter.slice(0, 10)}`
}

/** What is to be done with the files that were written. */
export function describeFiles(files: readonly string[] | undefined, { csr }: CertificateOptions): string[] {
  if (files === undefined) return []
  const key = csr === undefined ? 'the key was written nowhere else' : 'its key has not left it'
  return [`Give its operator ${files.join(', ')}; ${key}.`]
}

/** A certificate of a peer: one that it has, or one that is issued here. */
export async function certificateOf(
  id: string,
  options: CertificateOptions,
  created: CreatedPaths,
): Promise<Credential> {
  const { issueCertificate, csr, certificate } = options
  const ways = [issueCertificate, csr, certificate].filter((way) => way !== undefined)
  if (ways.length !== 1) throw usageError('give one of --issue-certificate OUTDIR, --csr FILE and --certificate FILE')
  if (csr !== undefined) return await certifyForPeer(id, csr, options, created)
  refuseOut(options)
  if (issueCertificate !== undefined) return await issue(id, issueCertificate, options, created)
  return readCertificateOfPeer(certificate ?? '')
}

async function issue(
  id: string,
  directory: string,
  options: IssuerOptions,
  created: CreatedPaths,
): Promise<Credential> {
  const issuer = readIssuer(options)
  refuseExpiredCa(issuer)
  const issued = await issueClientCertificate(issuer, id)
  const files = writeIssued(created, directory, issued, issuer)
  return { ...factsOf(new X509Certificate(issued.certificate)), pem: issued.certificate, files }
}

/** The private key stays where it was made. */
async function certifyForPeer(
  id: string,
  csr: string,
  options: CertificateOptions,
  created: CreatedPaths,
): Promise<Credential> {
  const request = readTextFile(csr, 'the certificate request', 'it must be in PEM')
  const issuer = readIssuer(options)
  refuseExpiredCa(issuer)
  const certificate = await certifyRequest(issuer, request, id)
  const files = writeIssued(created, options.out ?? dirname(csr), { certificate }, issuer)
  return { ...factsOf(new X509Certificate(certificate)), pem: certificate, files }
}

/** Says at once what the listener would refuse later. */
function readCertificateOfPeer(path: string): Credential {
  const { certificate, facts } = readCertificate(path, 'the certificate')
  return { ...facts, pem: certificate.toString() }
}

function readAuthority(path: string): Credential {
  const { certificate, text, facts } = readCertificate(path, 'the certificate of the CA')
  if (text.split('-----BEGIN CERTIFICATE-----').length > 2)
    throw new CliError('certificate_ambiguous', `${path} holds more than one certificate`, {
      hint: "leave the one in it that issues the peer's certificates itself",
    })
  if (!certificate.ca)
    throw new CliError('certificate_not_authority', `${path} is not the certificate of a CA`, {
      hint: 'to let in one certificate, whoever issued it, give --certificate FILE',
    })
  return { ...facts, pem: certificate.toString() }
}

function readCertificate(path: string, what: string) {
  const text = readTextFile(path, what, 'it must be in PEM')
  const certificate = parseCertificate(path, text)
  if (certificate.validToDate.getTime() < Date.now())
    throw new CliError('certificate_expired', `${path} expired on ${certificate.validToDate.toISOString()}`, {
      hint: 'ask the peer for a new one',
    })
  return { certificate, text, facts: factsOf(certificate) }
}

function parseCertificate(path: string, text: string): X509Certificate {
  try {
    return new X509Certificate(text)
  } catch (error) {
    throw new CliError('certificate_malformed', `${path} holds no certificate in PEM`, { cause: error })
  }
}

function factsOf(certificate: X509Certificate): { fingerprint: string; notAfter: string } {
  return {
    fingerprint: certificateFingerprint(certificate.toString()),
    notAfter: certificate.validToDate.toISOString(),
  }
}

function refuseOut({ out }: CertificateOptions): void {
  if (out !== undefined) throw usageError('--out is for --csr')
}
