import {
  constants,
  createPrivateKey,
  type KeyObject,
  privateDecrypt,
  randomBytes,
  sign,
  timingSafeEqual,
} from 'node:crypto'
import { HsmError, type HsmErrorCode } from '../errors.ts'
import { ROOT_BLOB_BYTES } from '../records/device-record.ts'
import { KEK_SIZES } from '../records/kek-record.ts'
import { SESSION_BLOB_BYTES } from '../records/session-record.ts'
import type { SoftSettings } from '../token/settings.ts'
import {
  CHECK_TEXT,
  type CheckValues,
  type DerivedUse,
  type Token,
  type TokenKey,
  type WrappedRoot,
} from '../token/token.ts'
import { SoftKey, USE } from './soft-key.ts'

const BLOCK_BYTES = 16
const ROOT_KEY_BYTES = 16
const TRANSPORT_KEY_BYTES = 32
/** AES key wrap adds one block of 8 bytes (RFC 3394). */
const WRAP_OVERHEAD = 8
const KEK_BLOB_BYTES: readonly number[] = KEK_SIZES.map((size) => size + WRAP_OVERHEAD)

const ROOT_USES = USE.derive | USE.mac | USE.decrypt
const DERIVED_USES = {
  wrap: USE.beWrapped,
  // What may be read may be stored as well: an AppSKey for "the network itself" is both.
  read: USE.beRead | USE.beWrapped,
  mac: USE.mac,
  decrypt: USE.decrypt,
} as const satisfies Record<DerivedUse, number>

/** Opens the software token. It keeps copies of the keys in `settings`, which the caller may then wipe. */
export function openSoftToken(settings: SoftSettings): Token {
  return new SoftToken(settings)
}

class SoftToken implements Token {
  readonly #rootUse: SoftKey
  readonly #session: SoftKey
  readonly #binding: SoftKey
  readonly #escrow: SoftKey
  readonly #importKey: KeyObject
  readonly #receiptKey: KeyObject
  #disposed = false
  #objectsMade = 0

  constructor(settings: SoftSettings) {
    this.#rootUse = new SoftKey(Buffer.from(settings.rootUse), USE.wrap | USE.unwrap)
    this.#session = new SoftKey(Buffer.from(settings.session), USE.wrap | USE.unwrap)
    this.#binding = new SoftKey(Buffer.from(settings.binding), USE.mac)
    this.#escrow = new SoftKey(Buffer.from(settings.escrow), USE.wrap)
    this.#importKey = createPrivateKey({ key: settings.importPrivateKey, format: 'der', type: 'pkcs8' })
    this.#receiptKey = createPrivateKey({ key: settings.receiptPrivateKey, format: 'der', type: 'pkcs8' })
  }

  get objectsMade(): number {
    return this.#objectsMade
  }

  tag(message: Uint8Array): Buffer {
    requireMessage(message)
    return this.#binding.cmac(message)
  }

  openRoot(blob: Uint8Array): TokenKey {
    requireSize(blob, [ROOT_BLOB_BYTES], 'key_blob_damaged')
    return this.#unwrap(this.#rootUse, blob, ROOT_USES, 'key_blob_damaged').handle
  }

  openKek(blob: Uint8Array): TokenKey {
    requireSize(blob, KEK_BLOB_BYTES, 'key_blob_damaged')
    return this.#unwrap(this.#session, blob, USE.wrap, 'key_blob_damaged').handle
  }

  openAppSKey(blob: Uint8Array): TokenKey {
    requireSize(blob, [SESSION_BLOB_BYTES], 'key_blob_damaged')
    return this.#unwrap(this.#session, blob, USE.beWrapped, 'key_blob_damaged').handle
  }

  derive(key: TokenKey, block: Uint8Array, use: DerivedUse): TokenKey {
    requireSize(block, [BLOCK_BYTES], 'token_failed')
    return this.#keep(new SoftKey(this.#key(key).derive(block), DERIVED_USES[use])).handle
  }

  cmac(key: TokenKey, message: Uint8Array): Buffer {
    requireMessage(message)
    return this.#key(key).cmac(message)
  }

  decryptBlocks(key: TokenKey, blocks: Uint8Array): Buffer {
    requireMessage(blocks)
    if (blocks.length % BLOCK_BYTES !== 0) throw new HsmError('token_failed', 'input size')
    return this.#key(key).decrypt(blocks)
  }

  wrap(kek: TokenKey, key: TokenKey): Buffer {
    return this.#key(kek).wrap(this.#key(key))
  }

  wrapForStorage(key: TokenKey): Buffer {
    return this.#session.wrap(this.#key(key))
  }

  read(key: TokenKey): Buffer {
    return this.#key(key).read()
  }

  close(key: TokenKey): void {
    SoftKey.of(key).close()
  }

  openTransport(ciphertext: Uint8Array): TokenKey {
    if (this.#disposed) throw new HsmError('token_failed', 'token is closed')
    const bytes = decryptOaep(this.#importKey, ciphertext)
    requireSize(bytes, [TRANSPORT_KEY_BYTES], 'envelope_damaged')
    return this.#keep(new SoftKey(bytes, USE.unwrap)).handle
  }

  importRoot(transport: TokenKey, wrapped: Uint8Array): WrappedRoot {
    requireSize(wrapped, [ROOT_BLOB_BYTES], 'envelope_damaged')
    return this.#wrapRoot(this.#unwrap(this.#key(transport), wrapped, USE.beWrapped, 'envelope_damaged'))
  }

  importKek(transport: TokenKey, wrapped: Uint8Array): Buffer {
    requireSize(wrapped, KEK_BLOB_BYTES, 'envelope_damaged')
    const kek = this.#unwrap(this.#key(transport), wrapped, USE.beWrapped, 'envelope_damaged')
    try {
      return this.#session.wrap(kek)
    } finally {
      kek.close()
    }
  }

  generateRoot(): WrappedRoot {
    return this.#wrapRoot(this.#keep(new SoftKey(randomBytes(ROOT_KEY_BYTES), USE.beWrapped)))
  }

  sign(message: Uint8Array): Buffer {
    if (this.#disposed) throw new HsmError('token_failed', 'token is closed')
    return sign(null, message, this.#receiptKey)
  }

  verifyCheckValues(expected: CheckValues): void {
    this.#checkSentinel('root-use', this.#rootUse, expected.rootUseSentinel, expected.rootUseCmac)
    this.#checkSentinel('session', this.#session, expected.sessionSentinel, expected.sessionCmac)
    requireEqual('binding', this.#binding.cmac(CHECK_TEXT), expected.bindingCmac)
    const sentinel = this.#unwrap(this.#session, expected.sessionSentinel, USE.beWrapped, 'token_failed')
    try {
      requireEqual('escrow', this.#escrow.wrap(sentinel), expected.escrowOfSentinel)
    } finally {
      sentinel.close()
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    for (const key of [this.#rootUse, this.#session, this.#binding, this.#escrow]) key.close()
  }

  #checkSentinel(name: string, storageKey: SoftKey, blob: Buffer, expectedCmac: Buffer): void {
    const sentinel = this.#unwrap(storageKey, blob, USE.mac, 'token_failed')
    try {
      requireEqual(name, sentinel.cmac(CHECK_TEXT), expectedCmac)
    } finally {
      sentinel.close()
    }
  }

  #wrapRoot(root: SoftKey): WrappedRoot {
    try {
      return { rootUse: this.#rootUse.wrap(root), escrow: this.#escrow.wrap(root) }
    } finally {
      root.close()
    }
  }

  #unwrap(under: SoftKey, blob: Uint8Array, uses: number, code: HsmErrorCode): SoftKey {
    const key = under.unwrap(blob, uses)
    if (key === undefined) throw new HsmError(code, 'integrity check of the wrapped key')
    return this.#keep(key)
  }

  #keep(key: SoftKey): SoftKey {
    this.#objectsMade++
    return key
  }

  #key(handle: TokenKey): SoftKey {
    if (this.#disposed) throw new HsmError('token_failed', 'token is closed')
    return SoftKey.of(handle)
  }
}

function decryptOaep(key: KeyObject, ciphertext: Uint8Array): Buffer {
  try {
    // SHA-1 because SoftHSM2 has no other hash for OAEP, and an envelope is one format for every back end. OAEP does not
    // depend on collision resistance.
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, ciphertext)
  } catch (error) {
    throw new HsmError('envelope_damaged', 'transport key', { cause: error })
  }
}

function requireSize(bytes: Uint8Array, sizes: readonly number[], code: HsmErrorCode): void {
  if (!sizes.includes(bytes.length)) throw new HsmError(code, 'input size')
}

function requireMessage(message: Uint8Array): void {
  if (message.length === 0) throw new HsmError('token_failed', 'empty input')
}

function requireEqual(name: string, actual: Buffer, expected: Buffer): void {
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected))
    throw new HsmError('token_failed', `check value of the ${name} key`)
}
