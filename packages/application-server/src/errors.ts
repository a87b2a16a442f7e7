import type { FailureCode } from '@mortise/backend-interfaces'

/**
 * - `kek_size`: a KEK that is not of 16, 24 or 32 bytes.
 * - `kek_label_invalid`: an empty label, which on the wire means "in clear".
 * - `kek_label_taken`: the ring has a KEK of this label already; a label never names another value.
 * - `kek_label_unknown`: no KEK of the ring has the label of the envelope.
 * - `key_in_clear`: an AppSKey came without KEK label, so that the network could read it. It is not used.
 * - `envelope_size`: a wrapped AppSKey that has not 24 bytes.
 * - `key_wrap_integrity`: the envelope does not open under the KEK of its label.
 * - `app_s_key_size`: an AppSKey that has not 16 bytes.
 * - `secret_disposed`: a key was used after it was wiped.
 * - `request_refused`: the join server refused an AppSKeyReq; see `resultCode`.
 * - `answer_mismatch`: an AppSKeyAns is about another device or session than the one asked for.
 * - `f_port_not_application`: FPort 0 is the network's; above 255 there is none.
 * - `f_cnt_invalid`: no frame counter of the size that its member has.
 * - `f_cnt_replayed`: an uplink that is not newer than the last one.
 * - `f_cnt_exhausted`: the counter has reached 2^32-1; the device must join again.
 * - `payload_size`: more than a frame can carry.
 * - `session_key_id_size`: a SessionKeyID that has not 1 to 64 bytes.
 * - `time_invalid`: no time in whole milliseconds.
 * - `session_unknown`: the device has no session here whose uplink was accepted, so that none can carry a downlink.
 * - `join_server_missing`: only the join server has the AppSKey, and there is nobody to ask, or no JoinEUI to name.
 * - `store_failed`: the storage of sessions failed; see `cause`.
 * - `store_newer`: the storage of sessions was written by a later release.
 * - `store_not_durable`: the database under the store does not wait for its disk.
 * - `store_full`: the store has as many devices as it may.
 */
export type ApplicationServerErrorCode =
  | 'kek_size'
  | 'kek_label_invalid'
  | 'kek_label_taken'
  | 'kek_label_unknown'
  | 'key_in_clear'
  | 'envelope_size'
  | 'key_wrap_integrity'
  | 'app_s_key_size'
  | 'secret_disposed'
  | 'request_refused'
  | 'answer_mismatch'
  | 'f_port_not_application'
  | 'f_cnt_invalid'
  | 'f_cnt_replayed'
  | 'f_cnt_exhausted'
  | 'payload_size'
  | 'session_key_id_size'
  | 'time_invalid'
  | 'session_unknown'
  | 'join_server_missing'
  | 'store_failed'
  | 'store_newer'
  | 'store_not_durable'
  | 'store_full'

export interface ApplicationServerErrorOptions extends ErrorOptions {
  readonly resultCode?: FailureCode
}

/** What the owner's side refuses. The message never holds key material or payload. */
export class ApplicationServerError extends Error {
  override readonly name = 'ApplicationServerError'
  readonly code: ApplicationServerErrorCode
  /** What the join server answered; present with `request_refused` alone. */
  readonly resultCode: FailureCode | undefined

  constructor(code: ApplicationServerErrorCode, message: string, options?: ApplicationServerErrorOptions) {
    super(message, options)
    this.code = code
    this.resultCode = options?.resultCode
  }
}

export function storeFull(): ApplicationServerError {
  return new ApplicationServerError('store_full', 'The session store has as many devices as it may.')
}
