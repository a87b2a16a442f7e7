/** The block size of AES, in bytes. */
export const AES_BLOCK_SIZE = 16

/**
 * AES of single blocks under a key bound inside: all that LoRaWAN asks of a platform. Node has `createBlockCipher`,
 * a browser or a token brings its own.
 */
export interface BlockCipher {
  /** The 16-byte ciphertext of a 16-byte block, in memory of its own. The block is left as it was. */
  encryptBlock(block: Uint8Array): Uint8Array
}
