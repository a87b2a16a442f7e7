import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readSecretFile } from '@mortise/hsm'
import { dataDirectory } from '@mortise/server'
import type { CertificateAndKey } from './certificates.ts'
import { CliError } from './errors.ts'
import { readTextFile, requireParent } from './files.ts'
import type { CreatedPaths } from './init/created-paths.ts'
import { operatorFiles } from './operator.ts'
import type { ServerOptions } from './options.ts'

export interface IssuerOptions extends ServerOptions {
  readonly caKeyFile?: string
}

/** The CA of the installation, to issue with. @throws CliError, SecretFileError */
export function readIssuer(options: IssuerOptions): CertificateAndKey {
  const caFile = options.caFile ?? dataDirectory(options.data).caCertificate
  const keyFile = options.caKeyFile ?? operatorFiles(options).caKey
  const certificate = readTextFile(caFile, 'the CA certificate', 'name the ca.pem of the installation with --ca-file')
  const privateKey = readSecretFile(
    keyFile,
    'name the ca-key.pem that `mortise init` made with --ca-key-file',
  ).toString()
  if (!isPair(certificate, privateKey))
    throw new CliError('ca_key_mismatch', `${keyFile} is not the key of the CA ${caFile}`, {
      hint: 'name ca.pem and ca-key.pem of the same installation with --ca-file and --ca-key-file',
    })
  return { certificate, privateKey }
}

/** @throws CliError ca_expired: what it issued now would be good for nothing */
export function refuseExpiredCa({ certificate }: CertificateAndKey): void {
  const { validToDate } = new X509Certificate(certificate)
  if (validToDate.getTime() > Date.now()) return
  throw new CliError('ca_expired', `the CA expired on ${validToDate.toISOString()}`, {
    hint: 'give it another ten years first: mortise certificate renew --ca',
  })
}

/**
 * Writes what a peer or a server needs into a directory: cert.pem, key.pem unless the key is with its owner already, and
 * ca.pem, 0600. Returns their names.
 */
export function writeIssued(
  created: CreatedPaths,
  directory: string,
  issued: { readonly certificate: string; readonly privateKey?: string },
  issuer: CertificateAndKey,
): string[] {
  const files = new Map([[join(directory, 'cert.pem'), issued.certificate]])
  if (issued.privateKey !== undefined) files.set(join(directory, 'key.pem'), issued.privateKey)
  files.set(join(directory, 'ca.pem'), issuer.certificate)
  const paths = Array.from(files.keys())
  const present = paths.find((path) => existsSync(path))
  if (present !== undefined)
    throw new CliError('file_exists', `${present} is there already`, { hint: 'name another directory' })
  requireParent(directory)
  created.directory(directory)
  for (const [path, content] of files) created.file(path, content)
  return paths
}

function isPair(certificate: string, privateKey: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))
  } catch {
    return false
  }
}
