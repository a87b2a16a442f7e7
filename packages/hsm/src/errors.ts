/**
 * Every reason for which the trust boundary refuses something. The codes cross the socket as numbers in this order:
 * append, never reorder or remove.
 */
export const HSM_ERROR_CODES = [
  'frame_malformed',
  'protocol_version_unsupported',
  'sealed',
  'store_rolled_back',
  'token_failed',
  'record_malformed',
  'record_format_unsupported',
  'record_type_mismatch',
  'storage_key_unknown',
  'record_tag_mismatch',
  'record_superseded',
  'key_blob_damaged',
  'key_missing',
  'join_request_malformed',
  'join_parameters_invalid',
  'eui_mismatch',
  'mic_mismatch',
  'network_not_allowed',
  'kek_kind_mismatch',
  'kek_recipient_mismatch',
  'recipient_not_allowed',
  'owner_mismatch',
  'application_kek_missing',
  'session_of_other_device',
  'order_malformed',
  'order_signature_invalid',
  'order_for_other_hsm',
  'order_replayed',
  'order_version_mismatch',
  'order_record_missing',
  'order_backlog_full',
  'label_in_use',
  'envelope_damaged',
  'receipts_backlog_full',
  'wrong_passphrase',
  'store_damaged',
  'busy',
  'order_record_mismatch',
  'order_sequence_gap',
  'rejoin_unsupported',
] as const

export type HsmErrorCode = (typeof HSM_ERROR_CODES)[number]

/** A refusal by the trust boundary. `detail` names fields and sizes, never a key, PIN or passphrase. */
export class HsmError extends Error {
  override readonly name = 'HsmError'
  readonly code: HsmErrorCode
  readonly detail: string | undefined

  constructor(code: HsmErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? code : `${code}: ${detail}`, options)
    this.code = code
    this.detail = detail
  }
}

export function hsmErrorNumber(code: HsmErrorCode): number {
  return HSM_ERROR_CODES.indexOf(code)
}

/** The inverse of {@link hsmErrorNumber}; a number from a newer peer reads as `frame_malformed`. */
export function hsmErrorFromNumber(number: number): HsmErrorCode {
  return HSM_ERROR_CODES[number] ?? 'frame_malformed'
}
