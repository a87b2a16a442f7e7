export interface ForwardingLimits {
  /** Requests that wait for one partner, shared out among those who ask. */
  readonly places: number
  /** However they are shared out. */
  readonly mostPlaces: number
  /** Requests that wait for any partner, shared out among the partners. */
  readonly allPlaces: number
  /** However they are shared out. */
  readonly mostAllPlaces: number
  /** For one exchange with a partner, connecting included. */
  readonly timeoutMs: number
}

/**
 * A network server waits five seconds for an answer. A partner that answers none holds all its places for four: they are
 * few enough that other work goes on, and enough for 150 joins a second with one that takes 200 ms; and so many may be
 * had of one partner while three others answer nothing.
 */
export const FORWARDING_LIMITS: ForwardingLimits = {
  ...{ places: 32, mostPlaces: 64, allPlaces: 128, mostAllPlaces: 512 },
  timeoutMs: 4000,
}
