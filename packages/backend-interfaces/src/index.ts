export { AnswerError, type AnswerErrorCode } from './answer-error.ts'
export {
  type AnswerHeader,
  type AppSKeyOutcome,
  answerHeader,
  encodeAppSKeyAns,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  type HomeNsOutcome,
  type JoinOutcome,
  type NetworkSessionKeys,
} from './answers.ts'
export { type AppSKeyReq, MAX_SESSION_KEY_ID_BYTES, parseAppSKeyReq } from './app-s-key-req.ts'
export { type Authorization, authorizationHeader, isAuthorizationHeader } from './authorization.ts'
export { type AnswerInbox, type BackendInterfacesClient, type ClientOptions, createClient } from './client.ts'
export type { HttpAnswer } from './connections.ts'
export { DIALECT_NAMES, type Dialect, type DialectName, dialectOf, isDialectName } from './dialects.ts'
export type { HexCase } from './hex-case.ts'
export { type HomeNsReq, parseHomeNsReq } from './home-ns-req.ts'
export { type JoinReq, parseJoinReq } from './join-req.ts'
export { hasLookAlikes, MAX_BODY_BYTES, MAX_DEPTH, type Members } from './json-object.ts'
export {
  isWrapped,
  type KeyEnvelope,
  KeyEnvelopeError,
  type KeyEnvelopeErrorCode,
  unwrapKeyEnvelope,
} from './key-envelope.ts'
export { MessageError } from './message-error.ts'
export {
  type AppSKeyAns,
  type FailureAns,
  type HomeNsAns,
  type JoinAns,
  parseAppSKeyAns,
  parseHomeNsAns,
  parseJoinAns,
  parseRejoinAns,
} from './parse-answer.ts'
export {
  isRequestType,
  normalizeSenderId,
  type ParsedMessage,
  type PartialHeader,
  parseMessage,
  type RequestHeader,
  type RequestType,
} from './parse-header.ts'
export { isProtocolVersion, type ProtocolVersion } from './protocol-version.ts'
export { parseRejoinReq, type RejoinReq } from './rejoin-req.ts'
export { type RelayedAnswer, relayAnswer, relayRequest } from './relay.ts'
export type { HeaderMember, RequestStyle } from './request-style.ts'
export {
  type AppSKeyReqToSend,
  encodeAppSKeyReq,
  encodeHomeNsReq,
  encodeJoinReq,
  encodeRejoinReq,
  type HomeNsReqToSend,
  type JoinReqToSend,
} from './requests.ts'
export {
  JOIN_EUI_DOMAIN,
  NET_ID_DOMAIN,
  type ResolvedServer,
  type ResolveOptions,
  ResolveError,
  resolveJoinEui,
  resolveNetId,
} from './resolve.ts'
export { type FailureCode, parseResultCode, RESULT_CODES, type ResultCode, resultCodeFor } from './result-codes.ts'
export { connectTls } from './tls-connection.ts'
export { tlsContext } from './tls-connector.ts'
