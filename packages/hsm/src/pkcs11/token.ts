import { HsmError, type HsmErrorCode } from '../errors.ts'
import { ROOT_BLOB_BYTES } from '../records/device-record.ts'
import { KEK_SIZES } from '../records/kek-record.ts'
import { SESSION_BLOB_BYTES } from '../records/session-record.ts'
import type { Pkcs11Settings } from '../token/settings.ts'
import type { CheckValues, DerivedUse, Token, TokenKey, WrappedRoot } from '../token/token.ts'
import { type HotTemplates, hotTemplates } from './key-templates.ts'
import { openOrFail, type OpenStorage, plainMechanisms, verifyCheckValues, withObject, wrapRoot } from './operations.ts'
import { Pkcs11Error } from './pkcs11-error.ts'
import { requireInToken } from './probe.ts'
import { closePkcs11Session, type ObjectHandle, openPkcs11Session, type Pkcs11Session } from './session.ts'
import { BlockDerivation, type Mechanism, oaepSha1, type Template } from './structures.ts'
import { findTokenObjects } from './token-objects.ts'

/** CK_INVALID_HANDLE: what a closed key points to, so that the token itself refuses it. */
const CLOSED: ObjectHandle = 0n

const BLOCK_BYTES = 16
/** AES key wrap adds one block of 8 bytes (RFC 3394). */
const KEK_BLOB_BYTES: readonly number[] = KEK_SIZES.map((size) => size + 8)

class OpenKey {
  handle: ObjectHandle

  constructor(handle: ObjectHandle) {
    this.handle = handle
  }
}

/** The brand of TokenKey has no value at run time, so the way in and out is a cast, checked on the way out. */
function toTokenKey(handle: ObjectHandle): TokenKey {
  return new OpenKey(handle) as unknown as TokenKey
}

function fromTokenKey(key: TokenKey): OpenKey {
  const open: unknown = key
  if (!(open instanceof OpenKey)) throw new HsmError('token_failed', 'the key belongs to another kind of token')
  return open
}

/**
 * The storage keys in a PKCS #11 token. Every refusal of the token is an HsmError `token_failed` that names the call
 * and its return value, unless a method says otherwise.
 */
class Pkcs11Token implements Token {
  readonly #session: Pkcs11Session
  readonly #storage: OpenStorage
  readonly #bindingBlob: Buffer
  readonly #templates: HotTemplates
  readonly #derivation: BlockDerivation
  readonly #mechanisms = plainMechanisms()
  readonly #oaep = oaepSha1()
  #disposed = false

  constructor(session: Pkcs11Session, settings: Pkcs11Settings) {
    const objects = findTokenObjects(session, settings.objectPrefix)
    this.#session = session
    this.#templates = hotTemplates()
    this.#derivation = new BlockDerivation(requireInToken(session.library, session.slot))
    this.#bindingBlob = settings.bindingBlob
    const binding = openOrFail('root-use', 'the binding key', () =>
      session.unwrap(this.#mechanisms.keyWrap, objects.rootUse, this.#bindingBlob, this.#templates.binding),
    )
    this.#storage = { session, objects, binding, mechanisms: this.#mechanisms }
  }

  get objectsMade(): number {
    return this.#session.objectsMade
  }

  tag(message: Uint8Array): Buffer {
    return this.#sign(this.#mechanisms.cmac, this.#storage.binding, message)
  }

  openRoot(blob: Uint8Array): TokenKey {
    return toTokenKey(this.#openRoot(blob))
  }

  openKek(blob: Uint8Array): TokenKey {
    expectSize(blob, KEK_BLOB_BYTES, 'key_blob_damaged')
    const { session } = this.#storage.objects
    return toTokenKey(this.#unwrap(this.#mechanisms.keyWrap, session, blob, this.#templates.kek, 'key_blob_damaged'))
  }

  openAppSKey(blob: Uint8Array): TokenKey {
    expectSize(blob, [SESSION_BLOB_BYTES], 'key_blob_damaged')
    const { session } = this.#storage.objects
    return toTokenKey(
      this.#unwrap(this.#mechanisms.keyWrap, session, blob, this.#templates.appSKey, 'key_blob_damaged'),
    )
  }

  derive(key: TokenKey, block: Uint8Array, use: DerivedUse): TokenKey {
    expectSize(block, [BLOCK_BYTES], 'token_failed')
    this.#derivation.block.bytes.set(block)
    const template = this.#templates.derived[use]
    return toTokenKey(this.#session.derive(this.#derivation.mechanism, fromTokenKey(key).handle, template))
  }

  cmac(key: TokenKey, message: Uint8Array): Buffer {
    return this.#sign(this.#mechanisms.cmac, fromTokenKey(key).handle, message)
  }

  decryptBlocks(key: TokenKey, blocks: Uint8Array): Buffer {
    if (blocks.length === 0 || blocks.length % BLOCK_BYTES !== 0) {
      throw new HsmError('token_failed', `decryption takes whole blocks of 16 bytes, not ${blocks.length} bytes`)
    }
    return this.#session.decrypt(this.#mechanisms.ecb, fromTokenKey(key).handle, blocks)
  }

  wrap(kek: TokenKey, key: TokenKey): Buffer {
    return this.#session.wrap(this.#mechanisms.keyWrap, fromTokenKey(kek).handle, fromTokenKey(key).handle)
  }

  wrapForStorage(key: TokenKey): Buffer {
    return this.#session.wrap(this.#mechanisms.keyWrap, this.#storage.objects.session, fromTokenKey(key).handle)
  }

  read(key: TokenKey): Buffer {
    return this.#session.value(fromTokenKey(key).handle)
  }

  close(key: TokenKey): void {
    const open = fromTokenKey(key)
    // Session objects went with their session.
    if (open.handle === CLOSED || this.#disposed) return
    const { handle } = open
    open.handle = CLOSED
    this.#session.destroy(handle)
  }

  openTransport(ciphertext: Uint8Array): TokenKey {
    const { transport } = this.#templates
    return toTokenKey(this.#unwrap(this.#oaep, this.#storage.objects.import, ciphertext, transport, 'envelope_damaged'))
  }

  importRoot(transport: TokenKey, wrapped: Uint8Array): WrappedRoot {
    expectSize(wrapped, [ROOT_BLOB_BYTES], 'envelope_damaged')
    return withObject(this.#session, this.#openImported(transport, wrapped), (root) => wrapRoot(this.#storage, root))
  }

  importKek(transport: TokenKey, wrapped: Uint8Array): Buffer {
    expectSize(wrapped, KEK_BLOB_BYTES, 'envelope_damaged')
    const { session } = this.#storage.objects
    return withObject(this.#session, this.#openImported(transport, wrapped), (kek) =>
      this.#session.wrap(this.#mechanisms.keyWrap, session, kek),
    )
  }

  generateRoot(): WrappedRoot {
    const root = this.#session.generateKey(this.#mechanisms.generateAes, this.#templates.generatedRoot)
    return withObject(this.#session, root, () => wrapRoot(this.#storage, root))
  }

  sign(message: Uint8Array): Buffer {
    return this.#sign(this.#mechanisms.eddsa, this.#storage.objects.receipt, message)
  }

  verifyCheckValues(expected: CheckValues): void {
    verifyCheckValues(this.#storage, (blob) => this.#openRoot(blob), expected)
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    closePkcs11Session(this.#session)
  }

  #sign(mechanism: Mechanism, key: ObjectHandle, message: Uint8Array): Buffer {
    if (message.length === 0) throw new HsmError('token_failed', 'there is no message')
    return this.#session.sign(mechanism, key, message)
  }

  #openRoot(blob: Uint8Array): ObjectHandle {
    expectSize(blob, [ROOT_BLOB_BYTES], 'key_blob_damaged')
    const { rootUse } = this.#storage.objects
    return this.#unwrap(this.#mechanisms.keyWrap, rootUse, blob, this.#templates.root, 'key_blob_damaged')
  }

  #openImported(transport: TokenKey, wrapped: Uint8Array): ObjectHandle {
    const { handle } = fromTokenKey(transport)
    return this.#unwrap(this.#mechanisms.keyWrap, handle, wrapped, this.#templates.passing, 'envelope_damaged')
  }

  #unwrap(
    mechanism: Mechanism,
    key: ObjectHandle,
    blob: Uint8Array,
    template: Template,
    damaged: HsmErrorCode,
  ): ObjectHandle {
    try {
      return this.#session.unwrap(mechanism, key, blob, template)
    } catch (cause) {
      if (cause instanceof Pkcs11Error && this.#saysDamaged(cause)) throw new HsmError(damaged, undefined, { cause })
      throw cause
    }
  }

  /** Whether the refusal was about the blob. Where the token may as well be broken, a blob known to be good decides. */
  #saysDamaged(refusal: Pkcs11Error): boolean {
    const verdict = refusal.blobVerdict
    if (verdict !== 'unclear') return verdict === 'damaged'
    try {
      const { rootUse } = this.#storage.objects
      this.#session.destroy(
        this.#session.unwrap(this.#mechanisms.keyWrap, rootUse, this.#bindingBlob, this.#templates.binding),
      )
      return true
    } catch {
      return false
    }
  }
}

function expectSize(blob: Uint8Array, sizes: readonly number[], damaged: HsmErrorCode): void {
  if (!sizes.includes(blob.length)) {
    throw new HsmError(damaged, `${blob.length} bytes, expected ${sizes.join(' or ')}`)
  }
}

/**
 * Opens the token, logs in and finds its keys; the binding key is opened once, as a session object. One such token for
 * each process: the login and its end belong to the whole process.
 * @param pin user PIN, as bytes; the caller wipes it
 * @throws HsmError token_failed: module, token, PIN, mechanism or key missing; the detail says what to do
 */
export function openPkcs11Token(settings: Pkcs11Settings, pin: Buffer): Token {
  const session = openPkcs11Session(settings.module, settings.tokenLabel, pin)
  try {
    return new Pkcs11Token(session, settings)
  } catch (cause) {
    closePkcs11Session(session)
    throw cause
  }
}
