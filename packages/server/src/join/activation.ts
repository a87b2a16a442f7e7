import type { JoinReq, RejoinReq } from '@mortise/backend-interfaces'
import { devNonceRule, type JoinEui, type MacVersion, MAX_RJ_COUNT } from '@mortise/lorawan'
import type { JoinKeySet, JoinState } from '../storage/index.ts'
import { acceptsDevNonce, addDevNonce, exhaustsDevNonces } from './dev-nonces.ts'
import type { JoinErrorCode } from './errors.ts'

/** What gives a device a session: a join-request, or a rejoin-request of type 0, 1 or 2. */
export type ActivationReq = JoinReq | RejoinReq

/** The JoinEUI of the key sets that are meant. */
export function joinEuiOf(request: ActivationReq): JoinEui {
  return isRejoin(request) ? request.joinEui : request.frame.joinEui
}

export function isRejoin(request: ActivationReq): request is RejoinReq {
  return 'joinEui' in request
}

/**
 * The key sets that a request may belong to, in the order in which they are tried. Where the join server can check a MIC
 * it says which; a rejoin of type 0 or 2 is of the session that the device has, which began with its newest join.
 */
export function candidates(keySets: readonly JoinKeySet[], request: ActivationReq): readonly JoinKeySet[] {
  if (keySets.length < 2 || !isRejoin(request) || request.frame.rejoinType === 1) return keySets
  return [...keySets].sort((a, b) => (b.state?.last.joinedAt ?? 0) - (a.state?.last.joinedAt ?? 0))
}

/**
 * What speaks against a request in what is known of the joins before it: its DevNonce, or the RJcount1 of a rejoin of type
 * 1. RJcount0 and the MIC of types 0 and 2 are the network server's to check (LoRaWAN 1.1 §6.2.4.1), so that these are
 * believed only from the network that has the session: any other one could make them up.
 * @throws StorageError database_corrupt
 */
export function refuseHistory(
  state: JoinState | undefined,
  macVersion: MacVersion,
  request: ActivationReq,
): JoinErrorCode | undefined {
  if (!isRejoin(request)) return refuseDevNonce(state?.devNonces, macVersion, request.frame.devNonce)
  if (state === undefined) return 'device_not_joined'
  if (request.frame.rejoinType !== 1) return state.last.netId === request.netId ? undefined : 'rejoin_of_other_network'
  if (request.frame.rjCount1 >= state.nextRjCount1) return undefined
  return state.nextRjCount1 > MAX_RJ_COUNT ? 'rejoin_counts_exhausted' : 'rejoin_count_reused'
}

function refuseDevNonce(
  history: Buffer | undefined,
  macVersion: MacVersion,
  devNonce: number,
): JoinErrorCode | undefined {
  const rule = devNonceRule(macVersion)
  if (acceptsDevNonce(history, rule, devNonce)) return undefined
  return exhaustsDevNonces(history, rule) ? 'dev_nonces_exhausted' : 'dev_nonce_reused'
}

/** The counters of a key set, as a commit keeps them. */
export interface Counters {
  readonly devNonces: Buffer
  readonly devNonce: number
  readonly nextRjCount1: number
}

/** The counters after a request that {@link refuseHistory} has not refused. @throws StorageError database_corrupt */
export function countersAfter(state: JoinState | undefined, macVersion: MacVersion, request: ActivationReq): Counters {
  if (!isRejoin(request)) {
    const { devNonce } = request.frame
    const devNonces = addDevNonce(state?.devNonces, devNonceRule(macVersion), devNonce)
    return { devNonces, devNonce, nextRjCount1: state?.nextRjCount1 ?? 0 }
  }
  if (state === undefined) throw new TypeError('a rejoin follows a join')
  const { devNonces, nextRjCount1, last } = state
  const { frame } = request
  return {
    devNonces,
    devNonce: last.devNonce,
    nextRjCount1: frame.rejoinType === 1 ? frame.rjCount1 + 1 : nextRjCount1,
  }
}
