import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { AdministrationError, AdministrationErrorCode } from '../../kms/index.ts'

/** Failures of the request itself. */
type RequestProblemCode =
  | 'request_malformed'
  | 'request_body_too_large'
  | 'media_type_unsupported'
  | 'unauthenticated'
  | 'too_many_attempts'
  | 'not_found'
  | 'api_key_unknown'
  | 'internal'

type ProblemCode = AdministrationErrorCode | RequestProblemCode

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

/** Status and title of every code: a new one does not compile until it has them. */
const PROBLEMS = {
  request_malformed: [400, 'The request is malformed'],
  request_body_too_large: [413, 'The body is too large'],
  media_type_unsupported: [415, 'The body must be application/json'],
  unauthenticated: [401, 'A valid API key is needed'],
  too_many_attempts: [429, 'Too many failed attempts'],
  not_found: [404, 'There is no such resource'],
  api_key_unknown: [404, 'There is no such API key, or it was revoked before'],
  internal: [500, 'Unexpected failure'],

  api_key_name_invalid: [400, 'The name of the API key is not allowed'],
  page_invalid: [400, 'There is no such page'],

  order_malformed: [400, 'The order is malformed'],
  order_signature_invalid: [403, 'The order is not signed by the operator key'],
  order_for_other_hsm: [403, 'The order is for another HSM'],
  order_replayed: [409, 'The order, or a later one, was carried out before'],
  order_sequence_taken: [409, 'The sequence number is not above that of the order before'],
  order_sequence_gap: [409, 'The sequence number is too far above that of the order before'],
  order_record_mismatch: [409, 'The order names a record by another name'],
  order_version_mismatch: [409, 'The order replaces another version of a record'],
  order_record_missing: [409, 'A record that the order changes is not there'],
  order_epoch_too_low: [409, 'The accepted epoch is below the one that the database knows'],
  operator_unknown: [503, 'The database does not know the operator key'],
  operator_mismatch: [503, 'The HSM obeys another operator key than the database'],
  order_backlog_full: [503, 'Too many orders wait'],
  envelope_damaged: [422, 'The envelope cannot be opened, or is not the one that the order names'],
  label_in_use: [409, 'The KEK label has been used for this recipient before'],
  owner_mismatch: [403, 'The owner is not this organisation'],

  device_exists: [409, 'The device is already here'],
  device_unknown: [409, 'There is no such device'],
  kek_exists: [409, 'The KEK is already here'],
  kek_unknown: [409, 'There is no such KEK'],
  peer_exists: [409, 'The peer, or one with its certificate or token, is already here'],
  peer_unknown: [409, 'There is no such peer'],
  peer_limit: [409, 'There are too many peers'],
  peer_settings_invalid: [422, 'The settings of the peer do not go together'],
  agreement_exists: [409, 'The agreement is already here'],
  agreement_unknown: [409, 'There is no such agreement'],
  agreement_limit: [409, 'There are too many agreements'],
  route_exists: [409, 'There is a route for these JoinEUIs already'],
  route_unknown: [409, 'There is no such route'],
  route_limit: [409, 'There are too many routes'],
  row_missing: [409, 'Something that the order changes is not there'],
  certificate_unknown: [409, 'The peer has no such certificate'],
  certificate_limit: [409, 'The peer has too many certificates'],
  certificate_last: [409, 'The certificate is the last thing that the peer is known by'],
  certificate_not_authority: [422, 'The certificate is not that of a CA'],
  certificate_malformed: [422, 'A certificate cannot be read'],
  certificate_mismatch: [422, 'The certificates are not those that the order names'],
  certificate_expired: [422, 'A certificate has expired'],
  token_unknown: [409, 'The peer has no such token'],
  token_limit: [409, 'The peer has too many tokens'],
  token_last: [409, 'The token is the last thing that the peer is known by'],
  token_header_reserved: [422, 'A header of this name cannot carry a token'],

  record_malformed: [409, 'A stored record is damaged'],
  record_format_unsupported: [409, 'A stored record has a format that is not supported'],
  record_type_mismatch: [409, 'A stored record is of another kind'],
  record_tag_mismatch: [409, 'A stored record was altered'],
  record_superseded: [409, 'A stored record has been replaced'],
  storage_key_unknown: [409, 'A stored record belongs to another HSM'],
  key_blob_damaged: [409, 'A stored key is damaged'],

  // Refusals of joins, which no administration meets; the HSM's codes are one closed set.
  key_missing: [503, 'A key of the HSM is missing'],
  join_request_malformed: [500, 'Unexpected failure'],
  join_parameters_invalid: [500, 'Unexpected failure'],
  eui_mismatch: [500, 'Unexpected failure'],
  mic_mismatch: [500, 'Unexpected failure'],
  rejoin_unsupported: [500, 'Unexpected failure'],
  network_not_allowed: [500, 'Unexpected failure'],
  kek_kind_mismatch: [500, 'Unexpected failure'],
  kek_recipient_mismatch: [500, 'Unexpected failure'],
  recipient_not_allowed: [500, 'Unexpected failure'],
  application_kek_missing: [500, 'Unexpected failure'],
  session_of_other_device: [500, 'Unexpected failure'],

  frame_malformed: [503, 'The HSM process speaks another language'],
  protocol_version_unsupported: [503, 'The HSM process speaks another version'],
  sealed: [503, 'The HSM is sealed'],
  store_rolled_back: [503, 'The key store is older than the database'],
  token_failed: [503, 'The HSM failed'],
  receipts_backlog_full: [503, 'Receipts of the HSM wait to be stored'],
  wrong_passphrase: [503, 'The HSM cannot be opened'],
  store_damaged: [503, 'The key store is damaged or cannot be written'],
  busy: [503, 'The HSM does not answer'],

  database_locked: [503, 'The database is locked'],
  database_newer: [503, 'The database is from a newer version'],
  database_older: [503, 'The database is from an older version'],
  database_corrupt: [503, 'The database is damaged'],
  database_missing: [503, 'The database is missing'],
  database_exists: [503, 'The database is already there'],
  database_not_durable: [503, 'The database cannot be written durably'],
  database_read_only: [503, 'The database cannot be written'],
  database_log_missing: [503, 'The write-ahead log of the database is missing'],
  database_rolled_back: [503, 'The database is older than its last commit'],
  database_failed: [503, 'The database failed'],
  disk_full: [503, 'The disk is full'],
  disk_failed: [503, 'The disk failed'],
} as const satisfies Record<ProblemCode, readonly [status: number, title: string]>

/** RFC 9457, with a stable `code` for programs. */
export const problemSchema = z
  .object({
    type: z.string().describe('A URI that names the code.'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().optional().describe('For people; it may change.'),
    code: z.enum(Object.keys(PROBLEMS) as ProblemCode[]).describe('For programs; it does not change.'),
  })
  .meta({ id: 'Problem' })

export type Problem = z.output<typeof problemSchema>

export function toProblem(code: ProblemCode, detail?: string): Problem {
  const [status, title] = PROBLEMS[code]
  return { type: `urn:mortise:problem:${code}`, title, status, ...(detail !== undefined && { detail }), code }
}

export function problemOf(error: AdministrationError): Problem {
  return toProblem(error.code, error.detail)
}

/** Sends a problem document. As text: no schema of a route applies to it. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(JSON.stringify(problem))
}
