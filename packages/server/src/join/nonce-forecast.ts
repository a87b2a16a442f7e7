import { MAX_DEV_NONCE, MAX_JOIN_NONCE } from '@mortise/lorawan'
import type { JoinState, LastJoin } from '../storage/index.ts'
import { DEV_NONCES, type DevNonceRule, type DevNonceSummary, summariseDevNonces } from './dev-nonces.ts'

/**
 * How a device chooses its DevNonces. `counter` and `random` are its LoRaWAN version's rule; a `counter-recognised` is a
 * device of 1.0.0 to 1.0.3 that counts all the same. That is for the forecast alone: what it may use stays the rule's.
 */
export const NONCE_BEHAVIOURS = ['random', 'counter', 'counter-recognised'] as const
export type NonceBehaviour = (typeof NONCE_BEHAVIOURS)[number]

/** What is kept of the nonces of a key set that has joined. */
export interface NonceState extends Pick<JoinState, 'lastJoinNonce' | 'devNonces'> {
  readonly last: Pick<LastJoin, 'devNonce' | 'joinedAt'>
}

export interface NonceFacts {
  readonly rule: DevNonceRule
  /** Undefined before the first join. */
  readonly state: NonceState | undefined
  /** When the device was added, in milliseconds since 1970. */
  readonly addedAt: number
  /** Times of the sessions that are kept, newest first. */
  readonly sessionTimes: readonly number[]
  readonly nowMs: number
}

export interface NonceForecast {
  readonly behaviour: NonceBehaviour
  /** How many DevNonces cannot be used any more. */
  readonly devNoncesUsed: number
  /** How many are still to come; of a counter, those above the last. */
  readonly devNoncesLeft: number
  readonly joinNoncesLeft: number
  /** How many joins both last for. */
  readonly joinsLeft: number
  /** A counter's, above 1 where join-requests got lost; absent before the first join. */
  readonly devNoncesPerJoin: number | undefined
  /** Of a random DevNonce: the chance that it was used before. */
  readonly refusalProbability: number | undefined
  /** Of a random device: join-requests that it has to send for one that is accepted; absent when none is any more. */
  readonly triesPerJoin: number | undefined
  /** Absent before the first join. */
  readonly joinsPerYear: number | undefined
  /** When nothing is left, at that rate; absent without a rate, and when it is more than 20 years away. */
  readonly exhaustedAt: number | undefined
  /** What an operator should do something about: sentences. */
  readonly warnings: readonly string[]
}

const HORIZON_YEARS = 20

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const YEAR_MS = 365.25 * DAY_MS

/** Below this share of all nonces there is a warning. */
const LOW_SHARE = 0.1

/** What a counter looks like: so many joins, from so low on, and so many DevNonces a join on average. */
const COUNTER = { minJoins: 8, maxLowest: 255, maxDevNoncesPerJoin: 8 }

/** A few joins in a row are somebody trying a device out: before so many they say nothing about its rate. */
const SETTLED_JOINS = 100

/** How long the nonces of a key set last. @throws StorageError database_corrupt */
export function forecastNonces(facts: NonceFacts): NonceForecast {
  const { rule, state } = facts
  const summary = summariseDevNonces(state?.devNonces)
  const behaviour = behaviourOf(rule, summary, state?.last.devNonce)
  const devNoncesLeft = behaviour === 'random' ? DEV_NONCES - summary.used : MAX_DEV_NONCE - summary.highest
  const joinNoncesLeft = MAX_JOIN_NONCE - (state?.lastJoinNonce ?? 0)
  const perJoin = devNoncesPerJoin(behaviour, summary, state)
  const joinsLeft = Math.min(joinsFrom(devNoncesLeft, perJoin ?? 1), joinNoncesLeft)
  const rate = state && joinsPerMs(facts, Math.min(summary.used, state.lastJoinNonce))
  const exhaustedAt = exhaustion(facts, joinsLeft, rate)
  const random = behaviour === 'random'
  return {
    behaviour,
    devNoncesUsed: summary.used,
    devNoncesLeft,
    joinNoncesLeft,
    joinsLeft,
    devNoncesPerJoin: perJoin && rounded(perJoin, 1),
    refusalProbability: random ? rounded(summary.used / DEV_NONCES, 4) : undefined,
    triesPerJoin: random && devNoncesLeft > 0 ? rounded(DEV_NONCES / devNoncesLeft, 1) : undefined,
    joinsPerYear: rate && rounded(rate * YEAR_MS, 1),
    exhaustedAt,
    warnings: warningsOf({ behaviour, devNoncesLeft, joinNoncesLeft, exhaustedAt }, facts.nowMs),
  }
}

/** From the set, and from the last one being the highest: a poor random source has a dense set too, but no order. */
function behaviourOf(rule: DevNonceRule, summary: DevNonceSummary, last: number | undefined): NonceBehaviour {
  if (rule === 'counter') return 'counter'
  const { used, lowest, highest } = summary
  const counts =
    used >= COUNTER.minJoins &&
    lowest <= COUNTER.maxLowest &&
    highest === last &&
    highest - lowest + 1 <= COUNTER.maxDevNoncesPerJoin * used
  return counts ? 'counter-recognised' : 'random'
}

/** A counter that did not begin at 0 here looks faster than it is, and less so with every join. */
function devNoncesPerJoin(
  behaviour: NonceBehaviour,
  { used, lowest, highest }: DevNonceSummary,
  state: NonceState | undefined,
): number | undefined {
  if (behaviour === 'random' || state === undefined) return undefined
  return behaviour === 'counter' ? Math.max(1, (highest + 1) / state.lastJoinNonce) : (highest - lowest + 1) / used
}

function joinsFrom(devNoncesLeft: number, perJoin: number): number {
  return devNoncesLeft === 0 ? 0 : Math.max(1, Math.floor(devNoncesLeft / perJoin))
}

/** Since the device was added, or in the sessions that are kept if they came faster. */
function joinsPerMs({ addedAt, sessionTimes, nowMs }: NonceFacts, joins: number): number {
  const overall = joins / Math.max(DAY_MS, nowMs - addedAt)
  const oldest = sessionTimes.at(-1)
  if (oldest === undefined || joins < SETTLED_JOINS) return overall
  return Math.max(overall, (sessionTimes.length - 1) / Math.max(HOUR_MS, nowMs - oldest))
}

function exhaustion(
  { state, nowMs }: NonceFacts,
  joinsLeft: number,
  joinsPerMs: number | undefined,
): number | undefined {
  if (state === undefined || joinsPerMs === undefined) return undefined
  if (joinsLeft === 0) return state.last.joinedAt
  const remainingMs = joinsLeft / joinsPerMs
  return remainingMs > HORIZON_YEARS * YEAR_MS ? undefined : Math.round(nowMs + remainingMs)
}

function warningsOf(
  forecast: Pick<NonceForecast, 'behaviour' | 'devNoncesLeft' | 'joinNoncesLeft' | 'exhaustedAt'>,
  nowMs: number,
): string[] {
  const { behaviour, devNoncesLeft, joinNoncesLeft, exhaustedAt } = forecast
  const soon = exhaustedAt !== undefined && exhaustedAt < nowMs + YEAR_MS
  const newKeys = 'give the device new root keys'
  const forCounter = `${newKeys} and another JoinEUI, under which its counter begins at 0 again`
  // A join takes one of each: what comes soon is the end of those of which there are fewer.
  const devNoncesFirst = devNoncesLeft <= joinNoncesLeft
  const forDevNonces = behaviour === 'random' ? newKeys : forCounter
  const devNonces = warning('DevNonce', devNoncesLeft, DEV_NONCES, soon && devNoncesFirst, forDevNonces)
  const joinNonces = warning('JoinNonce', joinNoncesLeft, MAX_JOIN_NONCE, soon && !devNoncesFirst, newKeys)
  return [devNonces, joinNonces].filter((text) => text !== undefined)
}

function warning(name: string, left: number, all: number, soon: boolean, cure: string): string | undefined {
  if (left === 0) return `no ${name} is left: ${cure}`
  if (left < LOW_SHARE * all) return `less than 10 % of the ${name}s are left (${left}): before the last, ${cure}`
  return soon ? `at this rate the ${name}s are used up within a year: before then, ${cure}` : undefined
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals))
}
