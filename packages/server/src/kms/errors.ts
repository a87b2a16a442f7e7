import { HsmError, type HsmErrorCode } from '@mortise/hsm'
import { StorageError, type StorageErrorCode } from '../storage/index.ts'

/** Reasons of the server itself; those of the HSM and of the database keep their own codes. */
export type ServerRefusal =
  | 'device_unknown'
  | 'kek_unknown'
  | 'peer_unknown'
  | 'peer_limit'
  | 'peer_settings_invalid'
  | 'certificate_malformed'
  | 'certificate_mismatch'
  | 'certificate_expired'
  | 'certificate_unknown'
  | 'certificate_limit'
  | 'certificate_last'
  | 'certificate_not_authority'
  | 'token_unknown'
  | 'token_limit'
  | 'token_last'
  | 'token_header_reserved'
  | 'agreement_unknown'
  | 'agreement_limit'
  | 'route_unknown'
  | 'route_limit'
  | 'order_sequence_gap'
  | 'order_epoch_too_low'
  | 'operator_unknown'
  | 'operator_mismatch'
  | 'api_key_name_invalid'
  | 'page_invalid'

export type AdministrationErrorCode = HsmErrorCode | StorageErrorCode | ServerRefusal

/** Why the server did not do what was asked. `detail` is for the operator; it has no secret in it. */
export class AdministrationError extends Error {
  override readonly name = 'AdministrationError'
  readonly code: AdministrationErrorCode
  readonly detail: string | undefined

  constructor(code: AdministrationErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? code : `${code}: ${detail}`, options)
    this.code = code
    this.detail = detail
  }
}

/** The same failure in the words of administration; what is no failure of HSM or database is thrown on as it is. */
export function toAdministrationError(error: unknown): AdministrationError {
  if (error instanceof AdministrationError) return error
  if (error instanceof HsmError) return new AdministrationError(error.code, error.detail, { cause: error })
  if (error instanceof StorageError) return new AdministrationError(error.code, detailOf(error), { cause: error })
  throw error
}

/** What the database says of the order itself; its texts about files and pages are for the log of the server. */
function detailOf({ code, message }: StorageError): string | undefined {
  const prefix = `${code}: `
  return REFUSES_ORDER[code] && message.startsWith(prefix) ? message.slice(prefix.length) : undefined
}

/**
 * Whether an order that fails so can never be carried out. Everything else is a state that passes: the order waits, and
 * is tried again when the HSM becomes ready or the next order comes.
 */
export const REFUSES_ORDER = {
  // What the HSM process, its token or its disk cannot do now.
  frame_malformed: false,
  protocol_version_unsupported: false,
  sealed: false,
  store_rolled_back: false,
  token_failed: false,
  key_missing: false,
  order_backlog_full: false,
  receipts_backlog_full: false,
  wrong_passphrase: false,
  store_damaged: false,
  busy: false,
  operator_unknown: false,
  operator_mismatch: false,
  database_locked: false,
  database_newer: false,
  database_older: false,
  database_corrupt: false,
  database_missing: false,
  database_exists: false,
  database_not_durable: false,
  database_read_only: false,
  database_log_missing: false,
  database_rolled_back: false,
  database_failed: false,
  disk_full: false,
  disk_failed: false,
  // What is wrong with the order, or with the records that it replaces.
  record_malformed: true,
  record_format_unsupported: true,
  record_type_mismatch: true,
  storage_key_unknown: true,
  record_tag_mismatch: true,
  record_superseded: true,
  key_blob_damaged: true,
  join_request_malformed: true,
  join_parameters_invalid: true,
  eui_mismatch: true,
  mic_mismatch: true,
  rejoin_unsupported: true,
  network_not_allowed: true,
  kek_kind_mismatch: true,
  kek_recipient_mismatch: true,
  recipient_not_allowed: true,
  owner_mismatch: true,
  application_kek_missing: true,
  session_of_other_device: true,
  order_malformed: true,
  order_signature_invalid: true,
  order_for_other_hsm: true,
  order_replayed: true,
  order_record_mismatch: true,
  order_version_mismatch: true,
  order_record_missing: true,
  label_in_use: true,
  envelope_damaged: true,
  order_sequence_taken: true,
  device_exists: true,
  kek_exists: true,
  peer_exists: true,
  agreement_exists: true,
  route_exists: true,
  row_missing: true,
  device_unknown: true,
  kek_unknown: true,
  peer_unknown: true,
  peer_limit: true,
  peer_settings_invalid: true,
  certificate_malformed: true,
  certificate_mismatch: true,
  certificate_expired: true,
  certificate_unknown: true,
  certificate_limit: true,
  certificate_last: true,
  certificate_not_authority: true,
  token_unknown: true,
  token_limit: true,
  token_last: true,
  token_header_reserved: true,
  agreement_unknown: true,
  agreement_limit: true,
  route_unknown: true,
  route_limit: true,
  order_sequence_gap: true,
  order_epoch_too_low: true,
  api_key_name_invalid: true,
  page_invalid: true,
} as const satisfies Record<AdministrationErrorCode, boolean>

/** Whether a text, read from the database or from a problem document, is one of the codes. */
export function isAdministrationErrorCode(code: string): code is AdministrationErrorCode {
  return Object.hasOwn(REFUSES_ORDER, code)
}
