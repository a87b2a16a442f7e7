import { AES_BLOCK_SIZE, type BlockCipher } from './aes.ts'

/** AES-CMAC of a message of any length (RFC 4493 §2.4). Returns the whole tag of 16 bytes. */
export function cmac(cipher: BlockCipher, message: Uint8Array): Uint8Array {
  const blockCount = Math.max(1, Math.ceil(message.length / AES_BLOCK_SIZE))
  const lastStart = (blockCount - 1) * AES_BLOCK_SIZE
  let state: Uint8Array = new Uint8Array(AES_BLOCK_SIZE)
  for (let start = 0; start < lastStart; start += AES_BLOCK_SIZE) {
    state = cipher.encryptBlock(xor(state, message.subarray(start, start + AES_BLOCK_SIZE)))
  }
  return cipher.encryptBlock(xor(state, maskedLastBlock(cipher, message.subarray(lastStart))))
}

/** The last block as RFC 4493 §2.4 wants it: complete and under K1, or padded with 10…0 and under K2. */
function maskedLastBlock(cipher: BlockCipher, rest: Uint8Array): Uint8Array {
  const k1 = doubled(cipher.encryptBlock(new Uint8Array(AES_BLOCK_SIZE)))
  if (rest.length === AES_BLOCK_SIZE) return xor(k1, rest)
  const padded = new Uint8Array(AES_BLOCK_SIZE)
  padded.set(rest)
  padded[rest.length] = 0x80
  return xor(doubled(k1), padded)
}

/** Multiplies by x in GF(2^128) (RFC 4493 §2.3). Without a branch, because the value depends on the key. */
function doubled(block: Uint8Array): Uint8Array {
  const result = new Uint8Array(AES_BLOCK_SIZE)
  let carry = 0
  for (let index = AES_BLOCK_SIZE - 1; index >= 0; index--) {
    const byte = block[index] ?? 0
    result[index] = (byte << 1) | carry
    carry = byte >>> 7
  }
  result[AES_BLOCK_SIZE - 1] = (result[AES_BLOCK_SIZE - 1] ?? 0) ^ (0x87 & -carry)
  return result
}

function xor(left: Uint8Array, right: Uint8Array): Uint8Array {
  const result = new Uint8Array(AES_BLOCK_SIZE)
  for (let index = 0; index < AES_BLOCK_SIZE; index++) result[index] = (left[index] ?? 0) ^ (right[index] ?? 0)
  return result
}
