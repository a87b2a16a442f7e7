import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { AES_BLOCK_SIZE, type BlockCipher } from './aes.ts'

/** AES of single blocks in both directions; a network also decrypts, to make a join-accept. */
export interface NodeBlockCipher extends BlockCipher {
  /** The 16-byte clear text of a 16-byte block, in memory of its own. */
  decryptBlock(block: Uint8Array): Uint8Array
}

export type KeyWrapErrorCode = 'key_wrap_integrity'

/** A wrapped key that this KEK did not wrap, or that was changed since. Nothing tells the two apart. */
export class KeyWrapError extends Error {
  override readonly name = 'KeyWrapError'
  readonly code: KeyWrapErrorCode
  constructor(code: KeyWrapErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

// RFC 3394 §2.2.3.1.
const DEFAULT_IV = new Uint8Array(8).fill(0xa6)
const SEMIBLOCK_SIZE = 8
/** RFC 3394 §2.2.1: at least two semiblocks of key, hence three wrapped. */
const MIN_KEY_DATA_SIZE = 2 * SEMIBLOCK_SIZE

/**
 * AES in OpenSSL under a key of 16, 24 or 32 bytes, which is copied.
 * @throws {RangeError} a key of another size; later, a block that is not of 16 bytes.
 */
export function createBlockCipher(key: Uint8Array): NodeBlockCipher {
  const bits = aesKeyBits(key)
  // A KeyObject, because Node 24 takes six times as long to set a cipher up from a bare Buffer; and one ECB cipher for
  // all blocks, because setting one up costs more than a block.
  const secret = createSecretKey(key)
  let encrypt: BlockFunction | undefined
  let decrypt: BlockFunction | undefined
  return {
    encryptBlock: (block) => (encrypt ??= ecb(createCipheriv, bits, secret))(block),
    decryptBlock: (block) => (decrypt ??= ecb(createDecipheriv, bits, secret))(block),
  }
}

/**
 * RFC 3394 with the default IV, under a KEK of 16, 24 or 32 bytes. The result is 8 bytes longer than the key.
 * @throws {RangeError} a KEK of another size, or a key that is not a multiple of 8 bytes and at least 16.
 */
export function wrapKey(kek: Uint8Array, key: Uint8Array): Uint8Array {
  if (!isKeyData(key.length)) throw new RangeError(`cannot wrap a key of ${key.length} bytes`)
  const cipher = createCipheriv(`id-aes${aesKeyBits(kek)}-wrap`, createSecretKey(kek), DEFAULT_IV)
  return plainBytes(cipher.update(key))
}

/**
 * The key that {@link wrapKey} wrapped.
 * @throws {KeyWrapError} `key_wrap_integrity`: another KEK, changed bytes, or a size no wrapped key has.
 * @throws {RangeError} a KEK that is not of 16, 24 or 32 bytes.
 */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const decipher = createDecipheriv(`id-aes${aesKeyBits(kek)}-wrap`, createSecretKey(kek), DEFAULT_IV)
  if (!isKeyData(wrapped.length - SEMIBLOCK_SIZE)) throw integrityError()
  try {
    return plainBytes(decipher.update(wrapped))
  } catch {
    // OpenSSL's own error says no more, and differs from version to version.
    throw integrityError()
  }
}

type BlockFunction = (block: Uint8Array) => Uint8Array

function ecb(create: typeof createCipheriv | typeof createDecipheriv, bits: number, secret: KeyObject): BlockFunction {
  const cipher = create(`aes-${bits}-ecb`, secret, null)
  // With padding on, decryption holds every block back until the next one.
  cipher.setAutoPadding(false)
  return (block) => {
    // Part of a block would stay in the cipher and shift all that follow.
    if (block.length !== AES_BLOCK_SIZE) throw new RangeError(`an AES block has 16 bytes, not ${block.length}`)
    return plainBytes(cipher.update(block))
  }
}

function aesKeyBits(key: Uint8Array): number {
  if (key.length !== 16 && key.length !== 24 && key.length !== 32) {
    throw new RangeError(`an AES key has 16, 24 or 32 bytes, not ${key.length}`)
  }
  return 8 * key.length
}

function isKeyData(size: number): boolean {
  return size >= MIN_KEY_DATA_SIZE && size % SEMIBLOCK_SIZE === 0
}

function integrityError(): KeyWrapError {
  return new KeyWrapError('key_wrap_integrity', 'the wrapped key does not open under this KEK')
}

/** The same memory without Buffer's own methods: its `slice` shares where that of Uint8Array copies. */
function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
