import { computeMic } from '../src/index.ts'
import type { NodeBlockCipher } from '../src/node-aes.ts'

/**
 * The network's side of a join-accept: appends the MIC under `micCipher` and hides everything behind MHDR by AES
 * *decryption* under `cipher` (LoRaWAN 1.0.3 §6.2.5). In production this happens inside the HSM.
 */
export function sealJoinAccept(
  cipher: NodeBlockCipher,
  micCipher: NodeBlockCipher,
  micMessage: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  const clear = Uint8Array.of(...payload.subarray(1), ...computeMic(micCipher, micMessage))
  return Uint8Array.of(...payload.subarray(0, 1), ...decryptBlocks(cipher, clear))
}

export function decryptBlocks(cipher: NodeBlockCipher, clear: Uint8Array): Uint8Array {
  const result = new Uint8Array(clear.length)
  for (let start = 0; start < clear.length; start += 16) {
    result.set(cipher.decryptBlock(clear.subarray(start, start + 16)), start)
  }
  return result
}
