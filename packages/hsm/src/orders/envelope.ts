import { constants, createCipheriv, createHash, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { HsmError } from '../errors.ts'

/**
 * How keys travel to the HSM: a fresh AES-256 transport key under RSA-OAEP to the HSM's import key, and every key by
 * AES-KW (RFC 3394) under the transport key. Only the HSM opens it.
 *
 * SHA-1 in OAEP: SoftHSM2 2.6.1 refuses any other hash. OAEP does not rest on collision resistance, so this does not
 * weaken the envelope.
 */
export const ENVELOPE_FORMAT = 'mortise-envelope-1'
const AES_KW_IV = Buffer.alloc(8, 0xa6)
const TRANSPORT_CIPHERTEXT_BYTES = 384
const MAX_ENVELOPE_BYTES = 256 * 1024

export interface Envelope {
  /** RSA-OAEP ciphertext of the transport key. */
  readonly transport: Buffer
  /** One AES-KW blob per key: 24, 32 or 40 bytes. */
  readonly keys: readonly Buffer[]
}

/** Seals keys (16, 24 or 32 bytes each) to the import public key (RSA, SPKI, DER). */
export function sealEnvelope(importPublicKey: Buffer, keys: readonly Uint8Array[]): Buffer {
  const transportKey = randomBytes(32)
  try {
    const rsa = createPublicKey({ key: importPublicKey, format: 'der', type: 'spki' })
    const transport = publicEncrypt(
      { key: rsa, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
      transportKey,
    )
    const wrapped = keys.map((key) => {
      const cipher = createCipheriv('id-aes256-wrap', transportKey, AES_KW_IV)
      return Buffer.concat([cipher.update(key), cipher.final()]).toString('hex')
    })
    return Buffer.from(JSON.stringify({ format: ENVELOPE_FORMAT, transport: transport.toString('hex'), keys: wrapped }))
  } finally {
    transportKey.fill(0)
  }
}

/** What an order names its envelope by: SHA-256, hex. */
export function envelopeDigest(envelope: Uint8Array): string {
  return createHash('sha256').update(envelope).digest('hex')
}

/** @throws HsmError envelope_damaged */
export function parseEnvelope(bytes: Buffer): Envelope {
  if (bytes.length > MAX_ENVELOPE_BYTES) throw new HsmError('envelope_damaged', 'size')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch {
    throw new HsmError('envelope_damaged', 'not JSON')
  }
  if (!isEnvelopeJson(value)) throw new HsmError('envelope_damaged', 'members')
  const transport = Buffer.from(value.transport, 'hex')
  if (transport.length !== TRANSPORT_CIPHERTEXT_BYTES) throw new HsmError('envelope_damaged', 'transport key size')
  return { transport, keys: value.keys.map((key) => Buffer.from(key, 'hex')) }
}

function isEnvelopeJson(value: unknown): value is { transport: string; keys: string[] } {
  if (typeof value !== 'object' || value === null) return false
  const { format, transport, keys } = value as Record<string, unknown>
  return (
    format === ENVELOPE_FORMAT &&
    typeof transport === 'string' &&
    Array.isArray(keys) &&
    keys.every((key) => typeof key === 'string' && /^([0-9a-f]{48}|[0-9a-f]{64}|[0-9a-f]{80})$/.test(key))
  )
}
