import { KeyWrapError, unwrapKey } from '@mortise/lorawan/node-aes'

/** An AES-128 key on its way between servers (TS002 1.0 §21 table 11, KeyEnvelope). */
export interface KeyEnvelope {
  /** Names the KEK, as agreed between the two servers. Absent when the key is in clear. */
  readonly kekLabel?: string | undefined
  /** 16 bytes in clear, or 24 bytes wrapped under the KEK by RFC 3394 AES key wrap. */
  readonly aesKey: Uint8Array
}

/** Sizes of KeyEnvelope.aesKey, in bytes. */
export const CLEAR_KEY_SIZE = 16
export const WRAPPED_KEY_SIZE = 24

export type KeyEnvelopeErrorCode = 'key_in_clear' | 'wrong_size' | 'integrity_check_failed'

const MESSAGES: Record<KeyEnvelopeErrorCode, string> = {
  key_in_clear: 'The key envelope has no KEK label: its key came in clear where a wrapped one is demanded.',
  wrong_size: 'A wrapped AES-128 key has 24 bytes.',
  integrity_check_failed: 'The RFC 3394 integrity check failed: another KEK was used, or the envelope was changed.',
}

export class KeyEnvelopeError extends Error {
  override readonly name = 'KeyEnvelopeError'
  readonly code: KeyEnvelopeErrorCode

  constructor(code: KeyEnvelopeErrorCode, options?: ErrorOptions) {
    super(MESSAGES[code], options)
    this.code = code
  }
}

export function isWrapped(envelope: KeyEnvelope): boolean {
  return envelope.kekLabel !== undefined && envelope.kekLabel !== ''
}

/**
 * Opens a wrapped key: 16 bytes. Its caller demands a KEK, so a key in clear is refused rather than passed through.
 * @throws KeyEnvelopeError
 * @throws RangeError when the KEK has not 16, 24 or 32 bytes
 */
export function unwrapKeyEnvelope(envelope: KeyEnvelope, kek: Uint8Array): Uint8Array {
  if (!isWrapped(envelope)) throw new KeyEnvelopeError('key_in_clear')
  if (envelope.aesKey.length !== WRAPPED_KEY_SIZE) throw new KeyEnvelopeError('wrong_size')
  try {
    return unwrapKey(kek, envelope.aesKey)
  } catch (cause) {
    if (!(cause instanceof KeyWrapError)) throw cause
    throw new KeyEnvelopeError('integrity_check_failed', { cause })
  }
}
