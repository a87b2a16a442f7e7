import { X509Certificate } from 'node:crypto'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { certificateNames, dataDirectory, readCertificateFile } from '@mortise/server'
import { checkUrl, refuseWithoutInstallation, runningServerUrl } from '../administration.ts'
import { type CertificateAndKey, certificateFingerprint, issueServerCertificate, renewCa } from '../certificates.ts'
import { CliError, usageError } from '../errors.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { type IssuerOptions, readIssuer, refuseExpiredCa, writeIssued } from '../issuer.ts'
import { asPath, examples, repeated, withServer } from '../options.ts'
import { report, warn } from '../output.ts'
import { replaceFile } from '../replace-file.ts'
import { servedCertificate } from '../served-certificate.ts'
import { parseServerName } from './init.ts'
import { addCertificate } from './peer-certificate.ts'

interface RenewOptions extends IssuerOptions {
  readonly name?: string[]
  readonly peer?: string
  readonly out?: string
  readonly ca?: boolean
}

/** A running server takes a changed file within a second. */
const TAKEN_MS = 3000
const RETRY_MS = 100
/** Names that every server certificate has, because commands on the same machine ask for them. */
const LOCAL_NAMES: readonly string[] = ['localhost', '127.0.0.1', '::1']

export function registerRenew(certificate: Command): void {
  const command = withServer(certificate.command('renew'))
    .description('issue a new certificate: for the server, for a peer, or of the CA itself')
    .option('--name <name>', 'further name or address of the server, repeatable', repeated(parseServerName))
    .option('--peer <peer>', 'for this peer (NetID or AS-ID; ns:ID or as:ID), beside the one that it has')
    .option('--ca', 'another ten years for the CA, under the same key')
    .option('--out <outdir>', 'where cert.pem, key.pem and ca.pem go (default for the server: into its place)', asPath)
    .option('--ca-key-file <file>', 'key of the CA (default: ca-key.pem beside the operator key)', asPath)
    .action(renew)
  examples(
    command,
    'mortise certificate renew --name js.example',
    'mortise certificate renew --peer ns:000013 --out ./ns',
    'mortise certificate renew --ca',
    'mortise certificate renew --url https://js.example:8444 --ca-file ca.pem --ca-key-file ca-key.pem --out ./server',
  )
}

async function renew(options: RenewOptions): Promise<void> {
  const { peer, out, name, ...others } = options
  if (options.ca === true) {
    if (peer !== undefined || out !== undefined || name !== undefined)
      throw usageError('--ca renews the certificate of the CA alone', 'leave --peer, --out and --name out')
    await renewAuthority(options)
  } else if (peer !== undefined) {
    if (out === undefined) throw usageError('--peer needs --out OUTDIR', 'the certificate and its key go there')
    if (name !== undefined) throw usageError('--name is for the certificate of the server')
    await addCertificate(peer, { ...others, issueCertificate: out })
  } else await renewServer(options)
}

async function renewAuthority(options: RenewOptions): Promise<void> {
  const caFile = options.caFile ?? dataDirectory(options.data).caCertificate
  const certificate = await renewCa(readIssuer(options))
  replaceFile(caFile, certificate)
  const facts = factsOf(certificate)
  report(options, { ...facts, files: [caFile] }, () =>
    [
      `The CA is good until ${facts.notAfter.slice(0, 10)}. ${caFile} is new; its key is the same, and what it issued stays good.`,
      'Give it to every peer before the old one ends, and to whoever works with a copy of it.',
    ].join('\n'),
  )
}

async function renewServer(options: RenewOptions): Promise<void> {
  if (options.url !== undefined && options.out === undefined)
    throw usageError('--url needs --out OUTDIR', "bring the files to DIR/tls on the server's machine then")
  const issuer = readIssuer(options)
  refuseExpiredCa(issuer)
  const present = options.url === undefined ? namesHere(options) : await namesElsewhere(options.url, issuer)
  const [first = 'localhost', ...others] = new Set([...present, ...(options.name ?? [])])
  const issued = await issueServerCertificate(issuer, [first, ...others])
  const { files, effect } =
    options.out === undefined ? await putInPlace(options, issued) : putAside(options.out, issued, issuer)
  const facts = { ...factsOf(issued.certificate), names: [first, ...others], files, effect }
  if (effect === 'not-taken') warn('the running server does not show it: its log says why')
  report(options, facts, () =>
    [
      `A certificate of the server for ${facts.names.join(', ')}, valid until ${facts.notAfter.slice(0, 10)}, ` +
        `is in ${files.join(', ')}.`,
      EFFECTS[effect],
    ].join('\n'),
  )
}

type Effect = keyof typeof EFFECTS

const EFFECTS = {
  taken: 'The running server shows it.',
  'not-taken': 'The running server does not show it.',
  'next-start': 'No server runs: it is in effect from the next start on.',
  aside: 'Put cert.pem and key.pem in the place of those that the server uses: it takes them within a second.',
} as const

/** Of the certificate that is there, whether it is still good or not. */
function namesHere({ data }: RenewOptions): readonly string[] {
  refuseWithoutInstallation(data)
  const { tlsCertificate } = dataDirectory(data)
  return existsSync(tlsCertificate) ? certificateNames(readCertificateFile(tlsCertificate)) : LOCAL_NAMES
}

/** The names that a server elsewhere shows are believed if the CA has signed them, even long ago. */
async function namesElsewhere(url: string, issuer: CertificateAndKey): Promise<readonly string[]> {
  const authority = new X509Certificate(issuer.certificate)
  const shown = await servedCertificate(checkUrl(url))
  if (shown === undefined)
    throw new CliError('server_unreachable', `no answer from ${url}`, { hint: 'is the server running there?' })
  if (shown.checkIssued(authority) && shown.verify(authority.publicKey)) return certificateNames(shown)
  throw new CliError('certificate_of_other_ca', `what ${url} shows was not issued by this CA`, {
    hint: 'is that the management API, and --ca-file the CA of its installation?',
  })
}

async function putInPlace(
  { data }: RenewOptions,
  { certificate, privateKey }: CertificateAndKey,
): Promise<{ files: string[]; effect: Effect }> {
  const { tlsCertificate, tlsKey } = dataDirectory(data)
  // Interrupted in between, it leaves the key that the certificate in place needs.
  const oldKey = `${tlsKey}.old`
  if (existsSync(tlsKey)) copyFileSync(tlsKey, oldKey)
  replaceFile(tlsKey, privateKey)
  replaceFile(tlsCertificate, certificate)
  rmSync(oldKey, { force: true })
  const files = [tlsCertificate, tlsKey]
  const url = runningServerUrl(data)
  const deadline = Date.now() + TAKEN_MS
  const wanted = certificateFingerprint(certificate)
  for (;;) {
    const shown = url === undefined ? undefined : await servedCertificate(url)
    if (shown === undefined) return { files, effect: 'next-start' }
    if (certificateFingerprint(shown.toString()) === wanted) return { files, effect: 'taken' }
    if (Date.now() > deadline) return { files, effect: 'not-taken' }
    await delay(RETRY_MS)
  }
}

function putAside(
  directory: string,
  issued: CertificateAndKey,
  issuer: CertificateAndKey,
): { files: string[]; effect: Effect } {
  using created = new CreatedPaths()
  const files = writeIssued(created, directory, issued, issuer)
  created.keep()
  return { files, effect: 'aside' }
}

function factsOf(certificate: string): { fingerprint: string; notAfter: string } {
  const { validToDate } = new X509Certificate(certificate)
  return { fingerprint: certificateFingerprint(certificate), notAfter: validToDate.toISOString() }
}
