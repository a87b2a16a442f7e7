import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { dirname } from 'node:path'
import { readSecretFile, signerId } from '@mortise/hsm'
import { dataDirectory, operatorDirectory, type OperatorDirectory } from '@mortise/server'
import { CliError } from './errors.ts'
import { readTextFile } from './files.ts'
import type { ServerOptions } from './options.ts'

/** What `mortise init` pins beside the operator key. Keys are sealed to this import key and to no other. */
export interface PinnedHsm {
  /** 16 hex digits. */
  readonly hsmId: string
  /** 32 hex digits: the owner of what is added. */
  readonly organisationId: string
  /** SPKI, DER, base64. */
  readonly importPublicKey: string
  /** SHA-256 of the import key's DER, hex. */
  readonly importKeyThumbprint: string
  /** SPKI, DER, base64. */
  readonly receiptPublicKey: string
}

/** Who signs orders, and for which HSM. */
export interface Operator {
  readonly privateKey: KeyObject
  /** 32 hex digits. */
  readonly signer: string
  readonly hsm: PinnedHsm
  /** SPKI, DER. */
  readonly importPublicKey: Buffer
  /** Where the highest signed sequence number is kept. */
  readonly sequenceFile: string
}

/** The operator's files: DIR/operator, or beside the key that `--operator-key-file` names. */
export function operatorFiles(options: ServerOptions): OperatorDirectory {
  if (options.operatorKeyFile === undefined) return dataDirectory(options.data).operator
  return { ...operatorDirectory(dirname(options.operatorKeyFile)), operatorKey: options.operatorKeyFile }
}

/** Reads the operator key and what is pinned beside it. @throws SecretFileError, CliError */
export function openOperator(options: ServerOptions): Operator {
  const files = operatorFiles(options)
  const privateKey = readOperatorKey(files.operatorKey)
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const hsm = readPinnedHsm(files.hsmFile)
  return {
    privateKey,
    signer: signerId(spki).toString('hex'),
    hsm,
    importPublicKey: Buffer.from(hsm.importPublicKey, 'base64'),
    sequenceFile: files.lastSequence,
  }
}

/** SHA-256 of an import key, hex: what a server shows and what is pinned. */
export function importKeyThumbprint(importPublicKey: Buffer): string {
  return createHash('sha256').update(importPublicKey).digest('hex')
}

function readOperatorKey(path: string): KeyObject {
  const bytes = readSecretFile(path, 'give --operator-key-file, or run the command where `mortise init` put it')
  try {
    const key = createPrivateKey(bytes)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (error) {
    throw new CliError('operator_key_malformed', `${path} is not a private key`, { cause: error })
  } finally {
    bytes.fill(0)
  }
  throw new CliError('operator_key_malformed', `${path} is not an Ed25519 key`, {
    hint: 'name the operator-key.pem that `mortise init` made (--operator-key-file)',
  })
}

function readPinnedHsm(path: string): PinnedHsm {
  const hint = 'keep the hsm.json that `mortise init` made beside the operator key'
  const text = readTextFile(path, 'the description of the HSM', hint)
  const value = parseJson(text)
  if (!isPinnedHsm(value)) throw new CliError('hsm_file_malformed', `${path} does not describe an HSM`, { hint })
  if (importKeyThumbprint(Buffer.from(value.importPublicKey, 'base64')) !== value.importKeyThumbprint)
    throw new CliError('hsm_file_malformed', `${path}: the import key is not the one of the thumbprint`, { hint })
  return value
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isPinnedHsm(value: unknown): value is PinnedHsm {
  if (typeof value !== 'object' || value === null) return false
  const members = value as Record<string, unknown>
  return (
    isHex(members['hsmId'], 8) &&
    isHex(members['organisationId'], 16) &&
    isHex(members['importKeyThumbprint'], 32) &&
    typeof members['importPublicKey'] === 'string' &&
    typeof members['receiptPublicKey'] === 'string'
  )
}

function isHex(value: unknown, bytes: number): boolean {
  return typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value)
}
