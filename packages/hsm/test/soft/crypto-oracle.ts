import { constants, createCipheriv, createDecipheriv, createPublicKey, publicEncrypt } from 'node:crypto'

/**
 * What a token must answer, worked out from the specifications with nothing but single AES blocks, so that it shares no
 * code and no trick with the back ends. `token-contract.ts` first holds it against the RFCs' own values.
 */
export function aesBlock(key: Buffer, block: Buffer): Buffer {
  return createCipheriv(`aes-${8 * key.length}-ecb`, key, null)
    .setAutoPadding(false)
    .update(block)
}

export function aesDecrypt(key: Buffer, blocks: Buffer): Buffer {
  return createDecipheriv(`aes-${8 * key.length}-ecb`, key, null)
    .setAutoPadding(false)
    .update(blocks)
}

/** RFC 4493 §2.4. */
export function aesCmac(key: Buffer, message: Buffer): Buffer {
  const k1 = double(aesBlock(key, Buffer.alloc(16)))
  const k2 = double(k1)
  const count = Math.max(1, Math.ceil(message.length / 16))
  const last = message.subarray(16 * (count - 1))
  const finalBlock =
    last.length === 16 ? xor(last, k1) : xor(Buffer.concat([last, Buffer.of(0x80), Buffer.alloc(15 - last.length)]), k2)
  let state: Buffer = Buffer.alloc(16)
  for (let i = 0; i < count - 1; i++) state = aesBlock(key, xor(state, message.subarray(16 * i, 16 * i + 16)))
  return aesBlock(key, xor(state, finalBlock))
}

/** RFC 3394 §2.2.1, the index-based description. */
export function keyWrap(kek: Buffer, key: Buffer): Buffer {
  const n = key.length / 8
  let a: Buffer = Buffer.alloc(8, 0xa6)
  const r = Array.from({ length: n }, (_, i) => key.subarray(8 * i, 8 * i + 8))
  for (let j = 0; j <= 5; j++)
    for (const [i, half] of r.entries()) {
      const b = aesBlock(kek, Buffer.concat([a, half]))
      const t = Buffer.alloc(8)
      t.writeUInt32BE(n * j + i + 1, 4)
      a = xor(b.subarray(0, 8), t)
      r[i] = b.subarray(8)
    }
  return Buffer.concat([a, ...r])
}

export function keyUnwrap(kek: Buffer, blob: Buffer): Buffer {
  return createDecipheriv(`id-aes${8 * kek.length}-wrap`, kek, Buffer.alloc(8, 0xa6)).update(blob)
}

/** The first half of an envelope: a transport key for the import key (SPKI, DER). */
export function sealTransport(importPublicKey: Buffer, transportKey: Buffer): Buffer {
  const key = createPublicKey({ key: importPublicKey, format: 'der', type: 'spki' })
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, transportKey)
}

function double(block: Buffer): Buffer {
  const value = BigInt(`0x${block.toString('hex')}`)
  const shifted = ((value << 1n) & ((1n << 128n) - 1n)) ^ (value >> 127n === 1n ? 0x87n : 0n)
  return Buffer.from(shifted.toString(16).padStart(32, '0'), 'hex')
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ b.readUInt8(i)))
}
