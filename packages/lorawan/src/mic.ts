import type { BlockCipher } from './aes.ts'
import { cmac } from './cmac.ts'

/** The size of a MIC on air, in bytes. */
export const MIC_SIZE = 4

/** The first 4 bytes of the AES-CMAC: the MIC of every LoRaWAN message, apart from 1.1 uplinks, which join two halves. */
export function computeMic(cipher: BlockCipher, message: Uint8Array): Uint8Array {
  return cmac(cipher, message).slice(0, MIC_SIZE)
}

/**
 * Compares two MICs without stopping at the first difference, so that a forger cannot time his way byte by byte.
 * What is not 4 bytes long is never equal.
 */
export function equalMic(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== MIC_SIZE || b.length !== MIC_SIZE) return false
  let difference = 0
  for (let index = 0; index < MIC_SIZE; index++) difference |= (a[index] ?? 0) ^ (b[index] ?? 0)
  return difference === 0
}
