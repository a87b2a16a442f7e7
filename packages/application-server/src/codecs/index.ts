export { CodecError, type CodecErrorCode } from './codec-error.ts'
export type { DecodedPayload, EncodedPayload, JsonObject, JsonValue } from './codec-result.ts'
export {
  type Codec,
  type DataToEncode,
  DEFAULT_CODEC_LIMITS,
  PayloadCodecs,
  type PayloadToDecode,
} from './payload-codecs.ts'
export type { CodecLimits } from './sandbox-messages.ts'
