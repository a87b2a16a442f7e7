import { demand } from '../failure.ts'
import type { AcceptedJoin } from './device-model.ts'

/**
 * What the accepted joins of one device must keep to however many cases use it at once. The JoinNonce in each join-accept
 * puts them in the order in which the server took them.
 */
export class SharedHistory {
  readonly #byJoinNonce = new Map<number, AcceptedJoin>()
  readonly #joinNonceOf = new Map<number, number>()
  #highest = 0

  /** The highest JoinNonce answered so far; ask before a request is sent. */
  get horizon(): number {
    return this.#highest
  }

  /** @param horizon what {@link horizon} was before the request was sent */
  add(join: AcceptedJoin, horizon: number): void {
    const { joinNonce, identity, answer } = join
    const { count: devNonce } = join.request
    const known = this.#byJoinNonce.get(joinNonce)
    demand(known === undefined || known.identity === identity, 'join_nonce_reused', `JoinNonce ${joinNonce}`)
    demand(known === undefined || known.answer === answer, 'other_answer', `JoinNonce ${joinNonce}`)
    const used = this.#joinNonceOf.get(devNonce)
    demand(used === undefined || used === joinNonce, 'dev_nonce_reused', `DevNonce ${devNonce}`)
    // Again only the last one: a newer one had been answered before this was asked.
    demand(joinNonce >= horizon, 'old_request_answered', `JoinNonce ${joinNonce} after ${horizon}`)
    this.#byJoinNonce.set(joinNonce, join)
    this.#joinNonceOf.set(devNonce, joinNonce)
    this.#highest = Math.max(this.#highest, joinNonce)
  }
}
