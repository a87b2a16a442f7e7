/** What one call of a codec may take. */
export interface CodecLimits {
  readonly timeMs: number
  /** Of all that the codec allocates, its own source included. */
  readonly memoryBytes: number
  /** Of the result as JSON text, in UTF-16 code units. */
  readonly resultLength: number
}

/** The functions of TS013. */
export type CodecFunction = 'decodeUplink' | 'decodeDownlink' | 'encodeDownlink'

/** One call, on its way to the thread of the sandbox. */
export interface SandboxCall {
  readonly source: string
  readonly function: CodecFunction
  /** JSON text of an object; a member `recvTime` becomes a Date. */
  readonly input: string
  readonly limits: CodecLimits
}

export type SandboxFailure =
  | 'codec_syntax'
  | 'codec_function_missing'
  | 'codec_threw'
  | 'codec_timeout'
  | 'codec_memory'
  | 'codec_recursion'
  | 'codec_result_invalid'
  | 'codec_result_too_large'
  | 'codec_sandbox_failed'

export type SandboxAnswer =
  | { readonly result: string }
  | { readonly failure: SandboxFailure; readonly detail?: string | undefined }
