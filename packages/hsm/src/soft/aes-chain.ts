import { type Cipheriv, createCipheriv, type KeyObject } from 'node:crypto'

const BLOCK_BYTES = 16
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES)

/**
 * Single blocks and CMACs under one AES key, through one CBC cipher that lives as long as the key. Making a cipher object
 * costs more than using it, and a CBC cipher can start anew: XORing its last output into the first block undoes the
 * chaining, so that a block or a whole message costs one call.
 */
export class AesChain {
  readonly #cipher: Cipheriv
  /** The last block that the cipher gave out, in memory of its own: it may be a derived key. */
  readonly #last = Buffer.alloc(BLOCK_BYTES)
  #subkeys: readonly [whole: Buffer, padded: Buffer] | undefined

  constructor(key: KeyObject) {
    const bits = 8 * (key.symmetricKeySize ?? 0)
    this.#cipher = createCipheriv(`aes-${bits}-cbc`, key, ZERO_BLOCK).setAutoPadding(false)
  }

  /** AES-ECB encryption of one block of 16 bytes. */
  encryptBlock(block: Uint8Array): Buffer {
    return this.#encryptChain(Buffer.from(block))
  }

  /** AES-CMAC, RFC 4493 §2.4: 16 bytes. */
  cmac(message: Uint8Array): Buffer {
    const [whole, padded] = (this.#subkeys ??= this.#makeSubkeys())
    const blocks = Math.max(1, Math.ceil(message.length / BLOCK_BYTES))
    const input = Buffer.alloc(blocks * BLOCK_BYTES)
    input.set(message)
    if (message.length < input.length) input[message.length] = 0x80
    xorInto(input, input.length - BLOCK_BYTES, message.length === input.length ? whole : padded)
    return this.#encryptChain(input)
  }

  /** Overwrites what may be a derived key. The chain is of no use afterwards. */
  wipe(): void {
    this.#last.fill(0)
    this.#subkeys = undefined
  }

  /** The last block of the CBC encryption with IV 0 of whole `blocks`, which are overwritten. */
  #encryptChain(blocks: Buffer): Buffer {
    xorInto(blocks, 0, this.#last)
    const output = this.#cipher.update(blocks)
    output.copy(this.#last, 0, output.length - BLOCK_BYTES)
    return output.length === BLOCK_BYTES ? output : Buffer.from(this.#last)
  }

  /** RFC 4493 §2.3: K1 for a whole last block, K2 for a padded one. */
  #makeSubkeys(): readonly [Buffer, Buffer] {
    const whole = doubled(this.encryptBlock(ZERO_BLOCK))
    return [whole, doubled(whole)]
  }
}

function xorInto(target: Buffer, offset: number, block: Buffer): void {
  for (let i = 0; i < BLOCK_BYTES; i++) target[offset + i] = byteAt(target, offset + i) ^ byteAt(block, i)
}

/** Multiplication by x in GF(2^128), without a branch on the secret. */
function doubled(block: Buffer): Buffer {
  const result = Buffer.alloc(BLOCK_BYTES)
  for (let i = 0; i < BLOCK_BYTES; i++) result[i] = (byteAt(block, i) << 1) | (byteAt(block, i + 1) >> 7)
  result[BLOCK_BYTES - 1] = byteAt(result, BLOCK_BYTES - 1) ^ (0x87 * (byteAt(block, 0) >> 7))
  return result
}

function byteAt(block: Buffer, index: number): number {
  return block[index] ?? 0
}
