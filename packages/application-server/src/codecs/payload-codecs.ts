import { CodecError } from './codec-error.ts'
import { type DecodedPayload, type EncodedPayload, type JsonObject, readDecoded, readEncoded } from './codec-result.ts'
import { Sandbox } from './sandbox.ts'
import type { CodecFunction, CodecLimits, SandboxAnswer, SandboxCall, SandboxFailure } from './sandbox-messages.ts'

/** A payload codec as LoRa Alliance TS013 describes it. */
export interface Codec {
  /** Names it in errors. */
  readonly name: string
  /** JavaScript, at most 1 MiB of it. */
  readonly source: string
}

export interface PayloadToDecode {
  readonly bytes: Uint8Array
  readonly fPort: number
  readonly recvTime?: Date | undefined
  /** What an owner has set for the device. */
  readonly variables?: JsonObject | undefined
}

export interface DataToEncode {
  readonly data: JsonObject
  readonly fPort?: number | undefined
  readonly variables?: JsonObject | undefined
}

export const DEFAULT_CODEC_LIMITS: CodecLimits = { timeMs: 250, memoryBytes: 16 * 2 ** 20, resultLength: 64 * 1024 }

const MAX_SOURCE_LENGTH = 2 ** 20
const MAX_WAITING = 1000

const MESSAGES = {
  codec_syntax: 'could not be loaded.',
  codec_function_missing: 'does not define the function that was called.',
  codec_threw: 'threw an error.',
  codec_timeout: 'took longer than it may.',
  codec_memory: 'took more memory than it may.',
  codec_recursion: 'called itself too deeply.',
  codec_result_invalid: 'returned no object.',
  codec_result_too_large: 'returned more than it may.',
  codec_sandbox_failed: 'had no sandbox, or ended it.',
} as const satisfies Record<SandboxFailure, string>

/**
 * Runs payload codecs of others, unchanged, where they can do no harm: one after the other on a thread of its own, in a
 * JavaScript engine that has neither files nor network nor anything of Node, with limits of time and memory. Nothing of a
 * call is left for the next one.
 */
export class PayloadCodecs implements AsyncDisposable {
  readonly #limits: CodecLimits
  #sandbox: Sandbox | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(limits: Partial<CodecLimits> = {}) {
    this.#limits = { ...DEFAULT_CODEC_LIMITS, ...limits }
  }

  /** Calls `decodeUplink`, or the older `Decoder(bytes, fPort)` where that is all there is. @throws {CodecError} */
  async decodeUplink(codec: Codec, payload: PayloadToDecode): Promise<DecodedPayload> {
    return readDecoded(codec.name, await this.#call(codec, 'decodeUplink', decodeInput(payload)))
  }

  /** Calls `decodeDownlink`. @throws {CodecError} */
  async decodeDownlink(codec: Codec, payload: PayloadToDecode): Promise<DecodedPayload> {
    return readDecoded(codec.name, await this.#call(codec, 'decodeDownlink', decodeInput(payload)))
  }

  /** Calls `encodeDownlink`, or the older `Encoder(data, fPort)`. @throws {CodecError} */
  async encodeDownlink(codec: Codec, { data, fPort, variables = {} }: DataToEncode): Promise<EncodedPayload> {
    return readEncoded(codec.name, await this.#call(codec, 'encodeDownlink', { data, fPort, variables }))
  }

  /** Ends the thread after the calls that wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last
    await this.#sandbox?.[Symbol.asyncDispose]()
  }

  async #call({ name, source }: Codec, called: CodecFunction, input: object): Promise<string> {
    if (source.length > MAX_SOURCE_LENGTH) throw new CodecError('codec_too_large', name, 'is longer than 1 MiB.')
    if (this.#waiting >= MAX_WAITING) throw new CodecError('codec_busy', name, 'has too many calls before it.')
    const call = { source, function: called, input: jsonOf(name, input), limits: this.#limits }
    this.#waiting++
    const turn = this.#last.then(() => this.#run(call))
    this.#last = turn.catch(() => undefined)
    const answer = await turn.finally(() => this.#waiting--)
    if ('result' in answer) return answer.result
    throw new CodecError(answer.failure, name, MESSAGES[answer.failure], answer.detail)
  }

  async #run(call: SandboxCall): Promise<SandboxAnswer> {
    try {
      if (this.#sandbox?.usable !== true) this.#sandbox = await Sandbox.start()
    } catch (error) {
      return { failure: 'codec_sandbox_failed', detail: String(error) }
    }
    return await this.#sandbox.run(call)
  }
}

function decodeInput({ bytes, fPort, recvTime, variables = {} }: PayloadToDecode): object {
  return { bytes: Array.from(bytes), fPort, recvTime, variables }
}

/** A caller's data may have cycles or BigInts, for which JSON has no place. */
function jsonOf(codec: string, input: object): string {
  try {
    return JSON.stringify(input)
  } catch {
    throw new CodecError('codec_input_invalid', codec, 'cannot be given what is no JSON.')
  }
}
