import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes, scryptSync } from 'node:crypto'
import { HsmError } from '../errors.ts'

/**
 * A payload sealed into one file:
 *
 *   magic "MORTSEAL" (8) | format version (1) | sealing kind (1) | parameters | IV (12) | ciphertext | GCM tag (16)
 *   kind 1, passphrase: log2 N (1) | r (1) | p (1) | salt (16), for scrypt (RFC 7914)
 *   kind 2, token: no parameters; the token derives the key
 *
 * AES-256-GCM; everything before the ciphertext is authenticated with it.
 */
const MAGIC = Buffer.from('MORTSEAL', 'ascii')
const FORMAT_VERSION = 1
const KIND = { passphrase: 1, token: 2 } as const
const PREFIX_BYTES = MAGIC.length + 2
const SALT_BYTES = 16
const SCRYPT_BYTES = 3 + SALT_BYTES
const IV_BYTES = 12
const TAG_BYTES = 16
export const SEALING_KEY_BYTES = 32

export interface ScryptParameters {
  /** N = 2^logN. */
  readonly logN: number
  readonly r: number
  readonly p: number
}

/** 64 MiB and a fifth of a second on the machines of 2025. */
export const DEFAULT_SCRYPT: ScryptParameters = { logN: 16, r: 8, p: 1 }

/** What a file may ask for before anything in it has been authenticated. */
export const MAX_SCRYPT_MEMORY_BYTES = 256 * 1024 * 1024
const MIN_LOG_N = 10
const MAX_LOG_N = 20
const MAX_R = 32
const MAX_P = 16

/**
 * The key of one sealed file, kept after opening so that writing it again does not run scrypt again. A salt lives as long
 * as the passphrase; IVs are random, which GCM allows for 2^32 files under one key (NIST SP 800-38D §8.3).
 */
export class SealingKey {
  readonly #key: KeyObject
  readonly #prefix: Buffer

  private constructor(key: Buffer, prefix: Buffer) {
    this.#key = createSecretKey(key)
    this.#prefix = prefix
  }

  /** Runs scrypt over `passphrase` with a fresh salt. */
  static fromPassphrase(passphrase: Buffer, parameters: ScryptParameters = DEFAULT_SCRYPT): SealingKey {
    return SealingKey.#derive(passphrase, parameters, randomBytes(SALT_BYTES))
  }

  /** Takes a key of 32 bytes that a token derives for nothing but sealing. */
  static fromToken(key: Buffer): SealingKey {
    if (key.length !== SEALING_KEY_BYTES) throw new HsmError('token_failed', 'size of the sealing key')
    return new SealingKey(key, prefixOf(KIND.token))
  }

  /** The key that `bytes` says it was sealed with. */
  static of(bytes: Buffer, unlock: Unlock): SealingKey {
    const { kind, parameters } = readPrefix(bytes)
    if (kind === KIND.passphrase) {
      if (!('passphrase' in unlock)) throw new HsmError('store_damaged', 'sealed by a passphrase, not by a token')
      return SealingKey.#derive(unlock.passphrase, readScrypt(parameters), parameters.subarray(3))
    }
    if (!('tokenKey' in unlock)) throw new HsmError('store_damaged', 'sealed by a token, not by a passphrase')
    return SealingKey.fromToken(unlock.tokenKey)
  }

  static #derive(passphrase: Buffer, parameters: ScryptParameters, salt: Buffer): SealingKey {
    const { logN, r, p } = parameters
    checkScrypt(parameters)
    const N = 2 ** logN
    // What OpenSSL counts: the table of N blocks, the p lanes and two blocks for work.
    const maxmem = 128 * r * (N + p + 2)
    const key = scryptSync(passphrase, salt, SEALING_KEY_BYTES, { N, r, p, maxmem })
    const sealingKey = new SealingKey(key, prefixOf(KIND.passphrase, Buffer.from([logN, r, p]), salt))
    key.fill(0)
    return sealingKey
  }

  /** The whole file over `payload`, with a fresh IV. */
  seal(payload: Uint8Array): Buffer {
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv)
    const header = Buffer.concat([this.#prefix, iv])
    cipher.setAAD(header)
    return Buffer.concat([header, cipher.update(payload), cipher.final(), cipher.getAuthTag()])
  }

  /** The payload of a file whose prefix is this key's; `undefined` if it does not authenticate. */
  open(bytes: Buffer): Buffer | undefined {
    const headerBytes = this.#prefix.length + IV_BYTES
    const end = bytes.length - TAG_BYTES
    if (end < headerBytes) throw new HsmError('store_damaged', 'truncated')
    const iv = bytes.subarray(this.#prefix.length, headerBytes)
    const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(bytes.subarray(0, headerBytes)).setAuthTag(bytes.subarray(end))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(headerBytes, end)), decipher.final()])
    } catch {
      return undefined
    }
  }

  toJSON(): string {
    return '[secret]'
  }
}

/** What opens a file: the passphrase, or the sealing key (32 bytes) that the token derived. */
export type Unlock = { readonly passphrase: Buffer } | { readonly tokenKey: Buffer }

/** Seals `payload` into the bytes of a file. */
export function sealFile(key: SealingKey, payload: Uint8Array): Buffer {
  return key.seal(payload)
}

/**
 * Opens a sealed file. The key that comes with the payload seals it again.
 * @throws HsmError store_damaged (structure, parameters, a token's key that does not fit), wrong_passphrase
 */
export function openFile(bytes: Buffer, unlock: Unlock): { payload: Buffer; key: SealingKey } {
  const key = SealingKey.of(bytes, unlock)
  const payload = key.open(bytes)
  if (payload !== undefined) return { payload, key }
  if ('passphrase' in unlock)
    throw new HsmError('wrong_passphrase', 'or the file was changed: authentication cannot tell one from the other')
  throw new HsmError('store_damaged', 'the file was changed, or belongs to another token')
}

function prefixOf(kind: number, ...parameters: Buffer[]): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([FORMAT_VERSION, kind]), ...parameters])
}

function readPrefix(bytes: Buffer): { kind: number; parameters: Buffer } {
  if (bytes.length < PREFIX_BYTES || bytes.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0)
    throw new HsmError('store_damaged', 'not a sealed file')
  const version = bytes.readUInt8(MAGIC.length)
  if (version !== FORMAT_VERSION) throw new HsmError('store_damaged', `format version ${version} is not supported`)
  const kind = bytes.readUInt8(MAGIC.length + 1)
  if (kind !== KIND.passphrase && kind !== KIND.token)
    throw new HsmError('store_damaged', `sealing kind ${kind} is not supported`)
  const parameters = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + (kind === KIND.passphrase ? SCRYPT_BYTES : 0))
  if (kind === KIND.passphrase && parameters.length < SCRYPT_BYTES) throw new HsmError('store_damaged', 'truncated')
  return { kind, parameters }
}

function readScrypt(parameters: Buffer): ScryptParameters {
  return { logN: parameters.readUInt8(0), r: parameters.readUInt8(1), p: parameters.readUInt8(2) }
}

function checkScrypt({ logN, r, p }: ScryptParameters): void {
  const inRange = logN >= MIN_LOG_N && logN <= MAX_LOG_N && r >= 1 && r <= MAX_R && p >= 1 && p <= MAX_P
  if (!inRange || 128 * r * 2 ** logN > MAX_SCRYPT_MEMORY_BYTES)
    throw new HsmError('store_damaged', 'scrypt parameters out of range')
}
