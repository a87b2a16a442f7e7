import { FairShare } from '../fair-share.ts'
import type { ForwardingLimits } from './limits.ts'

/**
 * Places for requests that wait for partners: shared out among the partners first, and those of one among the peers that
 * ask it. Neither a partner that is slow, for however many peers, nor a peer that floods takes the places of others.
 */
export class PartnerPlaces {
  readonly #limits: ForwardingLimits
  readonly #all: FairShare
  /** Of partners that hold a place. */
  readonly #ofPartner = new Map<string, FairShare>()

  constructor(limits: ForwardingLimits) {
    this.#limits = limits
    this.#all = new FairShare(limits.allPlaces, limits.mostAllPlaces)
  }

  /** Takes a place, which has to be {@link leave left}; false where there is none. */
  enter(partner: string, peer: string): boolean {
    const { places, mostPlaces } = this.#limits
    const own = this.#ofPartner.get(partner) ?? new FairShare(places, mostPlaces)
    if (own.enter(peer) !== undefined) return false
    if (this.#all.enter(partner) !== undefined) {
      own.leave(peer)
      return false
    }
    this.#ofPartner.set(partner, own)
    return true
  }

  /** Gives a place back. */
  leave(partner: string, peer: string): void {
    const own = this.#ofPartner.get(partner)
    if (own === undefined) return
    this.#all.leave(partner)
    own.leave(peer)
    if (own.taken === 0) this.#ofPartner.delete(partner)
  }
}
