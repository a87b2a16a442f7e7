import { KeyWrapError, unwrapKey as unwrap } from '@mortise/lorawan/node-aes'

export { createBlockCipher } from '@mortise/lorawan/node-aes'

/** RFC 3394: the wrapped key, or undefined where the KEK of 16, 24 or 32 bytes does not open it. */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  try {
    return unwrap(kek, wrapped)
  } catch (error) {
    if (error instanceof KeyWrapError) return undefined
    throw error
  }
}
