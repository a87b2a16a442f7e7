import type { BlockCipher } from '@mortise/lorawan'
import { aeskw, ecb } from '@noble/ciphers/aes.js'

/** AES of single blocks where there is no `node:crypto`: Web Crypto has no such operation. Not in constant time. */
export function createBlockCipher(key: Uint8Array): BlockCipher {
  // Each call makes a cipher of its own: one of these encrypts once.
  return { encryptBlock: (block) => ecb(key, { disablePadding: true }).encrypt(block) }
}

/** RFC 3394: the wrapped key, or undefined where the KEK of 16, 24 or 32 bytes does not open it. */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  const cipher = aeskw(kek)
  try {
    return cipher.decrypt(wrapped)
  } catch {
    // Its errors say no more, and have no code that would tell one from another.
    return undefined
  }
}
