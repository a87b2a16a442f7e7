import { type Attempt, type JoinSuccess, KeySetModel } from './key-set-model.ts'
import type { Report, Violation } from './violations.ts'

/** How many violations are kept with their details; the rest is only counted. */
const MAX_DETAILED_VIOLATIONS = 200

/** What was seen, for the report of a run. */
export interface Counts {
  /** Answers to JoinReq of any kind. */
  answers: number
  /** First answers with a new session. */
  joins: number
  /** Answers to a request that had been answered before, which were the same. */
  duplicates: number
  /** Refusals because of a used DevNonce. */
  replays: number
  /** Sendings of a JoinReq that broke off or were not decided. */
  unanswered: number
  /** Requests without a decision that got one when they were sent again. */
  settled: number
  appSKeys: number
  /** Refusals that decide nothing, by Result and Description. */
  readonly undecidedBy: Map<string, number>
}

/** The harness's own book of everything that it was ever answered. Knows nothing of processes, sockets or databases. */
export class Model {
  readonly violations: Violation[] = []
  readonly counts: Counts = {
    ...{ answers: 0, joins: 0, duplicates: 0, replays: 0, unanswered: 0, settled: 0, appSKeys: 0 },
    undecidedBy: new Map(),
  }
  violationCount = 0
  readonly #keySets = new Map<string, KeySetModel>()

  /** Takes in a violation that the joins' own book cannot see. */
  readonly report: Report = (kind, detail) => {
    this.violationCount += 1
    if (this.violations.length < MAX_DETAILED_VIOLATIONS) this.violations.push({ kind, detail })
  }

  addKeySet(devEui: string, rule: 'random' | 'counter'): KeySetModel {
    const keySet = new KeySetModel(devEui, rule, this.report)
    this.#keySets.set(devEui, keySet)
    return keySet
  }

  get keySets(): Iterable<KeySetModel> {
    return this.#keySets.values()
  }

  unanswered(keySet: KeySetModel, attempt: Attempt): void {
    this.counts.unanswered += 1
    keySet.unresolved(attempt)
  }

  /** A refusal that says nothing about the DevNonce: the HSM was away, or another join of the device was faster. */
  undecided(keySet: KeySetModel, attempt: Attempt, reason: string): void {
    this.counts.answers += 1
    const { undecidedBy } = this.counts
    undecidedBy.set(reason, (undecidedBy.get(reason) ?? 0) + 1)
    this.unanswered(keySet, attempt)
  }

  succeeded(keySet: KeySetModel, attempt: Attempt, success: JoinSuccess): void {
    this.#decided(attempt)
    const first = keySet.succeeded(attempt, success)
    if (first) this.counts.joins += 1
    else this.counts.duplicates += 1
  }

  replayed(keySet: KeySetModel, attempt: Attempt): void {
    this.#decided(attempt)
    this.counts.replays += 1
    keySet.replayed(attempt)
  }

  /** A refusal that neither a crash nor another request explains. */
  refused(keySet: KeySetModel, attempt: Attempt, reason: string): void {
    this.counts.answers += 1
    this.report('unexpected_refusal', `${keySet.name} DevNonce ${attempt.request.devNonce}: ${reason}`)
    keySet.unresolved(attempt)
  }

  /** Call when nothing is in flight any more. */
  finish(): void {
    for (const keySet of this.#keySets.values()) keySet.finish()
  }

  #decided({ request }: Attempt): void {
    this.counts.answers += 1
    const decided = request.success !== undefined || request.replayedAt !== undefined
    if (!decided && request.unresolved > 0) this.counts.settled += 1
  }
}
