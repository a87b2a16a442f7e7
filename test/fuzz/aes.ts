import { type Cipheriv, createCipheriv, createSecretKey } from 'node:crypto'

/** AES of single blocks and AES-CMAC for the oracle, in OpenSSL and one context per key: every case passes here. */
export class AesKey {
  readonly #cipher: Cipheriv
  #subkeys: readonly [Buffer, Buffer] | undefined

  /** A key of 16, 24 or 32 bytes. */
  constructor(key: Buffer) {
    this.#cipher = createCipheriv(`aes-${8 * key.length}-ecb`, createSecretKey(key), null).setAutoPadding(false)
  }

  /** Whole blocks of 16 bytes, each by itself. */
  encrypt(blocks: Buffer): Buffer {
    return this.#cipher.update(blocks)
  }

  /** RFC 4493 §2.4, 16 bytes. */
  cmac(message: Buffer): Buffer {
    this.#subkeys ??= this.#makeSubkeys()
    const lastStart = 16 * Math.max(0, Math.ceil(message.length / 16) - 1)
    let state: Buffer = Buffer.alloc(16)
    for (let start = 0; start < lastStart; start += 16)
      state = this.encrypt(xor(state, message.subarray(start, start + 16)))
    const last = message.subarray(lastStart)
    const padded = Buffer.alloc(16)
    last.copy(padded)
    if (last.length < 16) padded[last.length] = 0x80
    return this.encrypt(xor(state, xor(padded, this.#subkeys[last.length === 16 ? 0 : 1])))
  }

  #makeSubkeys(): readonly [Buffer, Buffer] {
    const k1 = doubled(this.encrypt(Buffer.alloc(16)))
    return [k1, doubled(k1)]
  }
}

/** Multiplied by x in GF(2^128), RFC 4493 §2.3. */
function doubled(block: Buffer): Buffer {
  const value = (block.readBigUInt64BE(0) << 64n) | block.readBigUInt64BE(8)
  const shifted = BigInt.asUintN(128, value << 1n) ^ (value >> 127n === 1n ? 0x87n : 0n)
  const result = Buffer.alloc(16)
  result.writeBigUInt64BE(shifted >> 64n, 0)
  result.writeBigUInt64BE(BigInt.asUintN(64, shifted), 8)
  return result
}

function xor(one: Buffer, other: Buffer): Buffer {
  const result = Buffer.alloc(16)
  for (let at = 0; at < 16; at++) result[at] = (one[at] ?? 0) ^ (other[at] ?? 0)
  return result
}
