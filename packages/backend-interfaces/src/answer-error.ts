/**
 * - `connection`: no answer came: refused, reset, or the TLS handshake failed (see `cause`).
 * - `timeout`: no complete answer within the time allowed.
 * - `http_status`: the status is not 2xx; the body is not looked at.
 * - `not_json`: the body is not a JSON object, too large, nested too deep, or has a member twice.
 * - `unexpected_message`: another MessageType, ProtocolVersion or TransactionID than the one asked for.
 * - `unknown_result_code`: a ResultCode that neither protocol version knows.
 * - `malformed`: a mandatory member is missing or has not its form.
 */
export type AnswerErrorCode =
  | 'connection'
  | 'timeout'
  | 'http_status'
  | 'not_json'
  | 'unexpected_message'
  | 'unknown_result_code'
  | 'malformed'

/** The join server gave no usable answer. A well-formed refusal is not an error but an answer. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError'
  readonly code: AnswerErrorCode

  constructor(code: AnswerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
