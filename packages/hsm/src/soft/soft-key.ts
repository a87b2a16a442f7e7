import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type Decipheriv,
  type KeyObject,
} from 'node:crypto'
import { HsmError } from '../errors.ts'
import type { TokenKey } from '../token/token.ts'
import { AesChain } from './aes-chain.ts'

/** What a key may do, as a set of bits. A key never does what it was not opened for, as in a hardware token. */
export const USE = { derive: 1, mac: 2, decrypt: 4, wrap: 8, unwrap: 16, beWrapped: 32, beRead: 64 } as const

const KEY_WRAP_IV = Buffer.alloc(8, 0xa6)

/**
 * A key of the software token. Its bytes are private to this class; what the token hands out is the object, which has
 * no property to read. Cipher objects are made at first use and kept.
 */
export class SoftKey {
  readonly #bytes: Buffer
  #uses: number
  #secret: KeyObject | undefined
  #chain: AesChain | undefined
  #decipher: Decipheriv | undefined
  #wrapper: Cipheriv | undefined
  #unwrapper: Decipheriv | undefined

  /** Takes `bytes` (16, 24 or 32) over: {@link close} zeroes them. */
  constructor(bytes: Buffer, uses: number) {
    this.#bytes = bytes
    this.#uses = uses
  }

  /** @throws HsmError token_failed for an object that is not a key of this kind of token */
  static of(handle: TokenKey): SoftKey {
    if (!(#bytes in handle)) throw new HsmError('token_failed', 'not a key of this token')
    return handle
  }

  get handle(): TokenKey {
    // The brand of TokenKey exists only for the compiler; `of` checks the real one.
    return this as unknown as TokenKey
  }

  /** AES-ECB encryption of one block of 16 bytes. */
  derive(block: Uint8Array): Buffer {
    this.#require(USE.derive)
    return this.#aesChain().encryptBlock(block)
  }

  cmac(message: Uint8Array): Buffer {
    this.#require(USE.mac)
    return this.#aesChain().cmac(message)
  }

  /** AES-ECB decryption of whole blocks. */
  decrypt(blocks: Uint8Array): Buffer {
    this.#require(USE.decrypt)
    this.#decipher ??= createDecipheriv(`aes-${this.#bits()}-ecb`, this.#keyObject(), null).setAutoPadding(false)
    return this.#decipher.update(blocks)
  }

  /** AES key wrap, RFC 3394: 8 bytes longer than `key`. */
  wrap(key: SoftKey): Buffer {
    this.#require(USE.wrap)
    key.#require(USE.beWrapped)
    // A wrap cipher does one whole wrap per `update`, so that one object serves the life of the key.
    this.#wrapper ??= createCipheriv(`id-aes${this.#bits()}-wrap`, this.#keyObject(), KEY_WRAP_IV)
    return this.#wrapper.update(key.#bytes)
  }

  /** The inverse of {@link wrap}, as a new key; `undefined` if the integrity check fails. */
  unwrap(blob: Uint8Array, uses: number): SoftKey | undefined {
    this.#require(USE.unwrap)
    this.#unwrapper ??= createDecipheriv(`id-aes${this.#bits()}-wrap`, this.#keyObject(), KEY_WRAP_IV)
    try {
      return new SoftKey(this.#unwrapper.update(blob), uses)
    } catch {
      // The state of a cipher object after an error is nobody's promise.
      this.#unwrapper = undefined
      return undefined
    }
  }

  /** A copy of the bytes. */
  read(): Buffer {
    this.#require(USE.beRead)
    return Buffer.from(this.#bytes)
  }

  close(): void {
    this.#uses = 0
    this.#bytes.fill(0)
    this.#chain?.wipe()
    this.#secret = this.#chain = this.#decipher = this.#wrapper = this.#unwrapper = undefined
  }

  #require(use: number): void {
    if ((this.#uses & use) === 0) throw new HsmError('token_failed', 'key is closed or not for this use')
  }

  #aesChain(): AesChain {
    return (this.#chain ??= new AesChain(this.#keyObject()))
  }

  /** Node 24 is six times slower in making a cipher from bytes than from a KeyObject. */
  #keyObject(): KeyObject {
    return (this.#secret ??= createSecretKey(this.#bytes))
  }

  #bits(): number {
    return 8 * this.#bytes.length
  }
}
