import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, existsSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, sep } from 'node:path'
import type { BackendChoice } from '@mortise/hsm'
import { createDatabase, type DataDirectory, dataDirectory, newApiKey, openDatabase } from '@mortise/server'
import { createCa, issueServerCertificate } from '../certificates.ts'
import { CliError } from '../errors.ts'
import { requireParent } from '../files.ts'
import { importKeyThumbprint, type PinnedHsm } from '../operator.ts'
import { holdCeremony } from './ceremony.ts'
import { CreatedPaths } from './created-paths.ts'

export interface InstallationPlan {
  /** Absolute. */
  readonly data: string
  readonly backend: BackendChoice
  /** Where the passphrase or PIN comes from: a file that the HSM process reads, or a person. */
  readonly secret: { readonly file: string } | { readonly typed: Buffer }
  /** Absolute. */
  readonly recoveryKeyFile: string
  readonly serverNames: readonly string[]
}

export interface Installation {
  readonly hsmId: string
  readonly organisationId: string
  readonly serverNames: readonly string[]
}

/** sun_path of Linux, without its final zero. */
const MAX_SOCKET_PATH_BYTES = 107
const FIRST_API_KEY = 'first'
const ACCESS_OF_OTHERS = 0o077
const DNS_NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?)*$/i

/** @throws CliError installation_exists, not_a_directory, directory_missing, file_exists, path_too_long: before anything is made */
export function refuseExisting(plan: Pick<InstallationPlan, 'data' | 'recoveryKeyFile'>): void {
  const directory = dataDirectory(plan.data)
  if (statSync(plan.data, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new CliError('not_a_directory', `${plan.data} is a file`, { hint: 'name a directory with --data' })
  const parts = [directory.database, directory.hsm, directory.operator.root, directory.recoveryFile]
  const present = [...parts, directory.caCertificate, directory.tlsCertificate].find((path) => existsSync(path))
  if (present !== undefined)
    throw new CliError('installation_exists', `${plan.data} has an installation already (${present})`, {
      hint: 'name another directory with --data; keys are never overwritten',
    })
  if (Buffer.byteLength(directory.custodianSocket) > MAX_SOCKET_PATH_BYTES)
    throw new CliError('path_too_long', `${plan.data} is too long a name: a socket in it could not be opened`, {
      hint: `choose a directory such that ${directory.custodianSocket} has at most ${MAX_SOCKET_PATH_BYTES} bytes`,
    })
  if (existsSync(plan.recoveryKeyFile))
    throw new CliError('file_exists', `${plan.recoveryKeyFile} is there already`, {
      hint: 'name another file with --recovery-key-file; it may be the only key to another recovery file',
    })
  if (!plan.recoveryKeyFile.startsWith(plan.data + sep)) requireParent(plan.recoveryKeyFile)
}

/**
 * Makes everything that an installation consists of, or nothing.
 * @throws CliError, SecretFileError
 */
export async function createInstallation(plan: InstallationPlan, signal: AbortSignal): Promise<Installation> {
  refuseExisting(plan)
  const directory = dataDirectory(plan.data)
  using created = new CreatedPaths()
  makeDirectories(created, directory, plan)
  const serverNames = namesOf(plan.serverNames)
  const operatorPublicKey = makeOperatorKey(created, directory)
  await makeCertificates(created, directory, serverNames)
  created.expect(directory.hsm, directory.recoveryFile, plan.recoveryKeyFile)
  const hsm = await holdCeremony(
    {
      directory: directory.hsm,
      backend: plan.backend,
      ...('file' in plan.secret ? { secretFile: plan.secret.file } : { secret: plan.secret.typed.toString() }),
      operatorPublicKey: operatorPublicKey.toString('base64'),
      recoveryFile: directory.recoveryFile,
      recoveryKeyFile: plan.recoveryKeyFile,
    },
    signal,
  )
  const organisationId = await makeDatabase(created, directory, operatorPublicKey)
  const importPublicKey = Buffer.from(hsm.importPublicKey, 'base64')
  const { hsmId, receiptPublicKey } = hsm
  const pinned: PinnedHsm = {
    hsmId,
    organisationId,
    importPublicKey: hsm.importPublicKey,
    importKeyThumbprint: importKeyThumbprint(importPublicKey),
    receiptPublicKey,
  }
  created.file(directory.operator.hsmFile, `${JSON.stringify(pinned, undefined, 2)}\n`)
  created.keep()
  return { hsmId, organisationId, serverNames }
}

function makeDirectories(created: CreatedPaths, directory: DataDirectory, plan: InstallationPlan): void {
  created.directory(directory.root)
  // A directory that was made by hand is mostly open to others.
  if (process.platform !== 'win32' && (statSync(directory.root).mode & ACCESS_OF_OTHERS) !== 0)
    chmodSync(directory.root, 0o700)
  created.directory(directory.operator.root)
  created.directory(dirname(directory.tlsCertificate))
  created.directory(directory.run)
  created.directory(dirname(plan.recoveryKeyFile))
}

/** Returns the public key: SPKI, DER. */
function makeOperatorKey(created: CreatedPaths, directory: DataDirectory): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  created.file(directory.operator.operatorKey, privateKey.export({ format: 'pem', type: 'pkcs8' }))
  return publicKey.export({ format: 'der', type: 'spki' })
}

async function makeCertificates(
  created: CreatedPaths,
  directory: DataDirectory,
  serverNames: readonly [string, ...string[]],
): Promise<void> {
  const ca = await createCa('Mortise CA')
  const server = await issueServerCertificate(ca, serverNames)
  created.file(directory.operator.caKey, ca.privateKey)
  created.file(directory.caCertificate, ca.certificate)
  created.file(directory.tlsKey, server.privateKey)
  created.file(directory.tlsCertificate, server.certificate)
}

/** Returns the organisation's id. */
async function makeDatabase(
  created: CreatedPaths,
  directory: DataDirectory,
  operatorPublicKey: Buffer,
): Promise<string> {
  created.expect(directory.database, `${directory.database}-wal`, `${directory.database}-shm`)
  createDatabase(directory.database)
  using storage = openDatabase(directory.database)
  await storage.administration.recordOperatorPublicKey(operatorPublicKey)
  const { token, apiKey } = newApiKey(FIRST_API_KEY)
  await storage.administration.createApiKey(apiKey)
  created.file(directory.operator.apiKey, `${token}\n`)
  return storage.administration.organisationId().toString('hex')
}

function namesOf(more: readonly string[]): [string, ...string[]] {
  const own = hostname()
  const names = ['127.0.0.1', '::1', ...(DNS_NAME.test(own) ? [own] : []), ...more]
  return ['localhost', ...new Set(names.filter((name) => name !== 'localhost'))]
}

/** Whether a certificate can be issued for this name. */
export function isDnsName(name: string): boolean {
  return DNS_NAME.test(name)
}
