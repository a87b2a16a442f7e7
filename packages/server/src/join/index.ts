export { type ActivationReq, joinEuiOf } from './activation.ts'
export { createAnswerJoin, type AnswerJoin } from './answer-join.ts'
export { acceptsDevNonce, addDevNonce, type DevNonceRule } from './dev-nonces.ts'
export { createFindHomeNetwork, type FindHomeNetwork } from './find-home-network.ts'
export { JoinError, type JoinErrorCode, RESULT } from './errors.ts'
export {
  forecastNonces,
  NONCE_BEHAVIOURS,
  type NonceBehaviour,
  type NonceFacts,
} from './nonce-forecast.ts'
export { createReleaseAppSKey, type ReleaseAppSKey } from './release-app-s-key.ts'
