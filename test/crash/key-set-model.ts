import type { Report } from './violations.ts'

/** What a successful JoinAns says, as far as two answers may differ. */
export interface JoinSuccess {
  readonly joinNonce: number
  /** Hex. */
  readonly sessionKeyId: string
  /** Hex, as its owner unwrapped it and the device derived it. */
  readonly appSKey: string
  /** Equal for answers that are equal but for their TransactionID. */
  readonly comparable: string
}

/** One sending of a request. */
export interface Attempt {
  readonly request: KnownRequest
  readonly sentAt: number
  /** The highest JoinNonce that had been acknowledged when it was sent. */
  readonly acknowledged: number
}

/** Every sending of one request, which is all that its digest is equal for. */
export interface KnownRequest {
  readonly digest: string
  readonly devNonce: number
  readonly firstSentAt: number
  inFlight: number
  /** Sendings that ended without a decision: whether they were committed is not known. */
  unresolved: number
  success: JoinSuccess | undefined
  acceptedAt: number
  replayedAt: number | undefined
  /** Called a replay, but perhaps only because a later join took its place. */
  overtaken: boolean
}

/**
 * What must hold for the joins of one key set, whatever is killed. It knows what was sent and answered, and nothing of
 * the server. Times are those of a counter that every event moves on.
 */
export class KeySetModel {
  readonly name: string
  readonly #rule: 'random' | 'counter'
  readonly #report: Report
  readonly #requests = new Map<string, KnownRequest>()
  /** In the order of their first sending. */
  readonly #sent: KnownRequest[] = []
  readonly #byJoinNonce = new Map<number, KnownRequest>()
  readonly #byDevNonce = new Map<number, KnownRequest>()
  readonly #undecided = new Set<KnownRequest>()
  #time = 0
  #highest = 0
  #answered = 0

  constructor(name: string, rule: 'random' | 'counter', report: Report) {
    this.name = name
    this.#rule = rule
    this.#report = report
  }

  /** The highest JoinNonce that was acknowledged; 0 before the first. */
  get highest(): number {
    return this.#highest
  }

  /** Answers that carried keys, each of which must have its receipt. */
  get answered(): number {
    return this.#answered
  }

  /** The request that the server must know as the last one, if none is undecided. */
  get last(): KnownRequest | undefined {
    return this.#byJoinNonce.get(this.#highest)
  }

  /** Requests of which it is not known whether they were committed. */
  get undecided(): KnownRequest[] {
    return [...this.#undecided]
  }

  /** Whether the last word about a request has been said; not before it was sent. */
  isDecided(digest: string): boolean {
    const request = this.#requests.get(digest)
    return request !== undefined && !this.#undecided.has(request)
  }

  /** Acknowledged sessions that are among the newest `kept` of the key set whatever the undecided requests came to. */
  keptSessions(kept: number): JoinSuccess[] {
    const sessions: JoinSuccess[] = []
    for (let joinNonce = this.#highest; joinNonce > this.#oldestMayBe(kept); joinNonce--) {
      const success = this.#byJoinNonce.get(joinNonce)?.success
      if (success !== undefined) sessions.push(success)
    }
    return sessions
  }

  /** The server says that it has no such session. */
  sessionNotFound({ joinNonce }: JoinSuccess, kept: number): void {
    if (joinNonce > this.#oldestMayBe(kept))
      this.#report('session_lost', `${this.name} JoinNonce ${joinNonce}, highest ${this.#highest}`)
  }

  sessionFound({ joinNonce, appSKey }: JoinSuccess, released: string): void {
    this.#answered += 1
    if (released !== appSKey) this.#report('app_s_key_changed', `${this.name} JoinNonce ${joinNonce}`)
  }

  sending(digest: string, devNonce: number): Attempt {
    const request = this.#requests.get(digest) ?? this.#newRequest(digest, devNonce)
    request.inFlight += 1
    if (request.success === undefined && request.replayedAt === undefined) this.#undecided.add(request)
    return { request, sentAt: this.#tick(), acknowledged: this.#highest }
  }

  /** No answer came, or one that decides nothing. */
  unresolved({ request }: Attempt): void {
    request.inFlight -= 1
    request.unresolved += 1
  }

  /** Whether this is the request's first answer. */
  succeeded(attempt: Attempt, success: JoinSuccess): boolean {
    const { request } = attempt
    request.inFlight -= 1
    this.#answered += 1
    if (success.joinNonce < attempt.acknowledged)
      this.#violated('join_nonce_went_back', request, `${success.joinNonce} after ${attempt.acknowledged}`)
    if (request.success === undefined) {
      this.#accept(attempt, success)
      return true
    }
    if (request.success.comparable !== success.comparable) {
      const joinNonces = `JoinNonce ${request.success.joinNonce}, then ${success.joinNonce}`
      this.#violated('answer_changed', request, joinNonces)
    }
    return false
  }

  /** The answer was that the DevNonce had been used. */
  replayed({ request }: Attempt): void {
    request.inFlight -= 1
    const reason = this.#reasonOfReplay(request)
    if (reason === undefined) this.#violated('refused_without_reason', request, `highest ${this.#highest}`)
    if (request.success !== undefined) return
    request.overtaken ||= reason === 'overtaken'
    request.replayedAt ??= this.#tick()
    this.#undecided.delete(request)
  }

  /** What can only be told from all answers together. */
  finish(): void {
    for (const request of this.undecided) this.#violated('never_decided', request, '')
    if (this.#rule === 'random') return
    const ascending = [...this.#byJoinNonce.entries()].sort(([a], [b]) => a - b)
    for (const [index, [, request]] of ascending.entries()) {
      const before = ascending[index - 1]?.[1]
      if (before !== undefined && before.devNonce >= request.devNonce)
        this.#violated('dev_nonce_went_back', request, `after ${before.devNonce}`)
    }
  }

  #newRequest(digest: string, devNonce: number): KnownRequest {
    const request: KnownRequest = {
      ...{ digest, devNonce, firstSentAt: this.#tick(), inFlight: 0, unresolved: 0 },
      ...{ success: undefined, acceptedAt: 0, replayedAt: undefined, overtaken: false },
    }
    this.#requests.set(digest, request)
    this.#sent.push(request)
    return request
  }

  #accept({ request, sentAt }: Attempt, success: JoinSuccess): void {
    if (request.replayedAt !== undefined && sentAt > request.replayedAt)
      this.#violated('answered_after_refusal', request, `JoinNonce ${success.joinNonce}`)
    const sameJoinNonce = this.#byJoinNonce.get(success.joinNonce)
    if (sameJoinNonce !== undefined)
      this.#violated('join_nonce_reused', request, `${success.joinNonce}, of DevNonce ${sameJoinNonce.devNonce} before`)
    const sameDevNonce = this.#byDevNonce.get(request.devNonce)
    if (sameDevNonce !== undefined)
      this.#violated('dev_nonce_reused', request, `JoinNonce ${sameDevNonce.success?.joinNonce}, ${success.joinNonce}`)
    request.success = success
    request.acceptedAt = this.#tick()
    this.#undecided.delete(request)
    this.#byJoinNonce.set(success.joinNonce, request)
    this.#byDevNonce.set(request.devNonce, request)
    this.#highest = Math.max(this.#highest, success.joinNonce)
  }

  /** Why the server may call a request a replay: its DevNonce was used by another one, or it is not the last any more. */
  #reasonOfReplay(request: KnownRequest): 'used' | 'overtaken' | undefined {
    const others = this.#sent.filter((other) => other !== request && this.#mayBeCommitted(other))
    const { success, overtaken, inFlight, unresolved } = request
    const mayHaveBeenFirst = success !== undefined || overtaken || inFlight + unresolved > 0
    const follows = (other: KnownRequest): boolean =>
      other.devNonce !== request.devNonce &&
      (this.#rule === 'counter' ? other.devNonce > request.devNonce : couldFollow(other, request))
    if (mayHaveBeenFirst && others.some(follows)) return 'overtaken'
    // An acknowledged join has its DevNonce to itself: only one that followed explains why it is not repeated.
    if (success !== undefined) return undefined
    const uses = (other: KnownRequest): boolean =>
      other.devNonce === request.devNonce || (this.#rule === 'counter' && other.devNonce > request.devNonce)
    return others.some(uses) ? 'used' : undefined
  }

  #mayBeCommitted(request: KnownRequest): boolean {
    return request.success !== undefined || request.overtaken || this.#undecided.has(request)
  }

  /** The highest JoinNonce whose session may have made room for newer ones. */
  #oldestMayBe(kept: number): number {
    return this.#highest + this.#undecided.size - kept
  }

  #violated(kind: Parameters<Report>[0], { devNonce, digest }: KnownRequest, detail: string): void {
    this.#report(kind, `${this.name} DevNonce ${devNonce} ${detail} (${digest})`)
  }

  #tick(): number {
    this.#time += 1
    return this.#time
  }
}

/** Whether `other` may have been committed after `request`. */
function couldFollow(other: KnownRequest, request: KnownRequest): boolean {
  if (other.success === undefined) return true
  if (request.success !== undefined) return other.success.joinNonce > request.success.joinNonce
  return other.acceptedAt > request.firstSentAt
}
