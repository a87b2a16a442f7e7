import { createCipheriv } from 'node:crypto'

/** RFC 3394 by OpenSSL, with the default IV. */
export function wrap(kek: Uint8Array, key: Uint8Array): Uint8Array {
  return createCipheriv(`id-aes${8 * kek.length}-wrap`, kek, Buffer.alloc(8, 0xa6)).update(key)
}
