/**
 * What must never be seen.
 *
 * - `join_nonce_reused`: a JoinNonce in the answers to two different requests of one key set.
 * - `join_nonce_went_back`: a request was sent after a higher JoinNonce had been acknowledged, and got a lower one.
 * - `dev_nonce_reused`: two different requests with one DevNonce were accepted.
 * - `dev_nonce_went_back`: a counter device's lower DevNonce was accepted after a higher one.
 * - `answer_changed`: the same request got another answer than before.
 * - `refused_without_reason`: a request was called a replay that nothing can have replayed or overtaken: a join was
 *   committed that nobody knows of, or an acknowledged one is not known any more.
 * - `answered_after_refusal`: a request was called a replay, and accepted when it came again.
 * - `unexpected_refusal`: an answer that no crash explains.
 * - `never_decided`: a request that got no decision when everything ran again.
 * - `never_answered_again`: an acknowledged join, or the AppSKey of an acknowledged session, that was asked for again and
 *   again and neither given nor refused for good.
 * - `session_lost`, `app_s_key_changed`: an acknowledged session that AppSKeyReq does not find, or another key.
 * - `device_disagrees`: the device does not take its join-accept, or derives other keys.
 * - `server_ended`: a server that ended by itself.
 * - `state_differs`: the database knows another last JoinNonce than the answers.
 * - `order_refused`: an order that was refused at once, for a reason that no crash explains.
 * - `order_lost`: an acknowledged order that is neither adopted nor refused, or whose effect is not there.
 * - `receipt_missing`, `receipt_gap`, `receipt_forked`, `receipt_link_broken`, `receipt_head_wrong`,
 *   `receipt_chain_open`: the chains of receipts do not hold what they promise.
 * - `database_damaged`: SQLite's own check.
 */
export type ViolationKind =
  | 'join_nonce_reused'
  | 'join_nonce_went_back'
  | 'dev_nonce_reused'
  | 'dev_nonce_went_back'
  | 'answer_changed'
  | 'refused_without_reason'
  | 'answered_after_refusal'
  | 'unexpected_refusal'
  | 'never_decided'
  | 'never_answered_again'
  | 'session_lost'
  | 'app_s_key_changed'
  | 'device_disagrees'
  | 'server_ended'
  | 'state_differs'
  | 'order_refused'
  | 'order_lost'
  | 'receipt_missing'
  | 'receipt_gap'
  | 'receipt_forked'
  | 'receipt_link_broken'
  | 'receipt_head_wrong'
  | 'receipt_chain_open'
  | 'database_damaged'

export interface Violation {
  readonly kind: ViolationKind
  /** DevEUI, chain or order, and what was seen. No key. */
  readonly detail: string
}

export type Report = (kind: ViolationKind, detail: string) => void
