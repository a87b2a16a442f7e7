/**
 * - `device_exists`: the secure element has this DevEUI already.
 * - `device_unknown`: it has not.
 * - `root_keys_taken`: they were given out once, or came from outside; there is no second time.
 * - `root_keys_malformed`: a key that is not of 16 bytes, or a NwkKey too many or too few for the version.
 * - `no_join_pending`: a join-accept without a join-request or rejoin-request since the last one.
 * - `join_accept_malformed`: no join-accept of 17 or 33 bytes, or, after a rejoin-request, one without OptNeg.
 * - `mic_mismatch`: the join-accept is not from the device's join server, or answers another join-request.
 * - `join_nonce_stale`: JoinNonce is not above the last one (LoRaWAN 1.0.4 and 1.1).
 * - `no_session`: the device has not joined.
 * - `not_in_this_session`: FOpts are encrypted, and rejoin-requests sent, in 1.1 sessions only.
 * - `process_ended`: the secure element's process is gone.
 */
export const SECURE_ELEMENT_ERROR_CODES = [
  'device_exists',
  'device_unknown',
  'root_keys_taken',
  'root_keys_malformed',
  'no_join_pending',
  'join_accept_malformed',
  'mic_mismatch',
  'join_nonce_stale',
  'no_session',
  'not_in_this_session',
  'process_ended',
] as const

export type SecureElementErrorCode = (typeof SECURE_ELEMENT_ERROR_CODES)[number]

/** What a secure element refuses. The message never holds key material. */
export class SecureElementError extends Error {
  override readonly name = 'SecureElementError'
  readonly code: SecureElementErrorCode

  constructor(code: SecureElementErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
