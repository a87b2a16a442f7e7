/**
 * - `codec_too_large`: more source text than a codec may have.
 * - `codec_syntax`: the source cannot be compiled, or throws before it has defined its functions.
 * - `codec_function_missing`: it does not define the function that is called.
 * - `codec_threw`: the function threw; see `detail`.
 * - `codec_timeout`: it took longer than it may.
 * - `codec_memory`: it took more memory than it may.
 * - `codec_recursion`: it called itself too deeply.
 * - `codec_result_invalid`: what it returned is not what TS013 says.
 * - `codec_result_too_large`: what it returned is more than it may return.
 * - `codec_input_invalid`: what it is to be given is no JSON.
 * - `codec_busy`: too many calls wait for the sandbox.
 * - `codec_sandbox_failed`: the sandbox ended, by the codec's doing or of itself. The next call gets a new one.
 */
export type CodecErrorCode =
  | 'codec_too_large'
  | 'codec_syntax'
  | 'codec_function_missing'
  | 'codec_threw'
  | 'codec_timeout'
  | 'codec_memory'
  | 'codec_recursion'
  | 'codec_result_invalid'
  | 'codec_result_too_large'
  | 'codec_input_invalid'
  | 'codec_busy'
  | 'codec_sandbox_failed'

/** A payload codec could not be used. The message names the codec, and holds neither payload nor reading. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
  readonly code: CodecErrorCode
  /** The name of the codec. */
  readonly codec: string
  /** What the codec itself says, at most 200 characters. It may hold a reading; it is not for a log. */
  readonly detail: string | undefined

  constructor(code: CodecErrorCode, codec: string, message: string, detail?: string) {
    super(`The codec ${JSON.stringify(codec)} ${message}`)
    this.code = code
    this.codec = codec
    this.detail = detail
  }
}
