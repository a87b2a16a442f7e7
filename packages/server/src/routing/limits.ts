export interface ForwardingLimits {
  /** Requests that wait for partners, shared out among partners and those who ask. */
  readonly places: number
  /** However they are shared out. */
  readonly mostPlaces: number
  /** For one exchange with a partner, connecting included. */
  readonly timeoutMs: number
}

/**
 * A network server waits five seconds for an answer. A partner that answers none holds all its places for four: they are
 * few enough that other work goes on, and enough for 150 joins a second with one that takes 200 ms.
 */
export const FORWARDING_LIMITS: ForwardingLimits = { places: 32, mostPlaces: 128, timeoutMs: 4000 }
