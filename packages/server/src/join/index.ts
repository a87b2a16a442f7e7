export { createAnswerJoin, type AnswerJoin } from './answer-join.ts'
export { acceptsDevNonce, addDevNonce, countDevNonces, type DevNonceRule } from './dev-nonces.ts'
export { JoinError, type JoinErrorCode, RESULT } from './errors.ts'
export { createReleaseAppSKey, type ReleaseAppSKey } from './release-app-s-key.ts'
