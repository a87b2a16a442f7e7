export { AnswerError, type AnswerErrorCode } from './answer-error.ts'
export {
  type AnswerHeader,
  type AppSKeyOutcome,
  answerHeader,
  encodeAppSKeyAns,
  encodeFailure,
  encodeJoinAns,
  type JoinOutcome,
  type NetworkSessionKeys,
} from './answers.ts'
export { type AppSKeyReq, MAX_SESSION_KEY_ID_BYTES, parseAppSKeyReq } from './app-s-key-req.ts'
export { type BackendInterfacesClient, type ClientOptions, createClient, type HttpAnswer } from './client.ts'
export { type JoinReq, parseJoinReq } from './join-req.ts'
export { MAX_BODY_BYTES, MAX_DEPTH, type Members } from './json-object.ts'
export {
  isWrapped,
  type KeyEnvelope,
  KeyEnvelopeError,
  type KeyEnvelopeErrorCode,
  unwrapKeyEnvelope,
} from './key-envelope.ts'
export { MessageError } from './message-error.ts'
export { type AppSKeyAns, type FailureAns, type JoinAns, parseAppSKeyAns, parseJoinAns } from './parse-answer.ts'
export {
  isRequestType,
  normalizeSenderId,
  type ParsedMessage,
  type PartialHeader,
  parseMessage,
  type RequestHeader,
  type RequestType,
} from './parse-header.ts'
export { HIGHEST_PROTOCOL_VERSION, isProtocolVersion, type ProtocolVersion } from './protocol-version.ts'
export { type AppSKeyReqToSend, encodeAppSKeyReq, encodeJoinReq, type JoinReqToSend } from './requests.ts'
export { type FailureCode, parseResultCode, RESULT_CODES, type ResultCode, resultCodeFor } from './result-codes.ts'
