import type { CodecErrorCode } from './codec-error.ts'

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

/** What only the sandbox finds out. */
export type SandboxFailure = Exclude<CodecErrorCode, 'codec_too_large' | 'codec_input_invalid' | 'codec_busy'>

export type SandboxAnswer =
  | { readonly result: string }
  | { readonly failure: SandboxFailure; readonly detail?: string | undefined }
