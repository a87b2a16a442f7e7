import type { JoinOutcome, KeyEnvelope, NetworkSessionKeys } from '@mortise/backend-interfaces'
import { decodeDeviceRecord, type DeviceRecord, HsmError, type HsmClient, type JoinAnswer } from '@mortise/hsm'
import { devAddrToBytes, MAX_JOIN_NONCE, netIdToBytes } from '@mortise/lorawan'
import type { NetworkServer } from '../identity/index.ts'
import type { JoinCommit, JoinReader, JoinWriter, JoinKeySet, Kek, LastJoin } from '../storage/index.ts'
import { type ActivationReq, candidates, countersAfter, isRejoin, joinEuiOf, refuseHistory } from './activation.ts'
import { JoinError, type JoinErrorCode, joinErrorOf } from './errors.ts'
import {
  appSKeyToNetwork,
  newestRecipients,
  type Recipients,
  refuseNetworkKek,
  refuseRecipients,
} from './recipients.ts'
import { requestDigest } from './request-digest.ts'

export interface AnswerJoinDependencies {
  readonly joins: JoinReader & JoinWriter
  readonly hsm: Pick<HsmClient, 'answerJoin' | 'verifyJoinRequest'>
  /** Called when a receipt is durable. */
  readonly receiptCommitted: (receipt: Buffer) => void
  readonly now: () => number
}

export type AnswerJoin = (peer: NetworkServer, request: ActivationReq) => Promise<JoinOutcome>

/** How often a join that lost against another one of the same device looks again. */
const MAX_ATTEMPTS = 4

/** Seconds that a session may be used, in JoinAns. 0 = without limit. */
const LIFETIME = 0

/**
 * Answers a JoinReq or a RejoinReq. Computes first, commits by compare-and-set, and resolves only when the commit is
 * durable; the same request again is computed again from what the commit kept, and gets the same answer.
 * The promise rejects with JoinError.
 */
export function createAnswerJoin(dependencies: AnswerJoinDependencies): AnswerJoin {
  const { joins } = dependencies
  return async function answerJoin(peer, request) {
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const keySets = candidates(joins.findKeySets(joinEuiOf(request), request.devEui), request)
        const outcome = await firstWithItsMic(keySets, (keySet) => join(dependencies, peer, request, keySet))
        if (outcome !== 'overtaken') return outcome
      }
      throw new JoinError('overtaken')
    } catch (error) {
      throw joinErrorOf(error)
    }
  }
}

/** A rekey keeps two key sets of a device alive: the MIC says which one the frame belongs to. */
async function firstWithItsMic<Outcome>(
  keySets: readonly JoinKeySet[],
  join: (keySet: JoinKeySet) => Promise<Outcome>,
): Promise<Outcome> {
  let refusal: HsmError | undefined
  for (const keySet of keySets) {
    try {
      return await join(keySet)
    } catch (error) {
      if (!(error instanceof HsmError && error.code === 'mic_mismatch')) throw error
      refusal = error
    }
  }
  throw refusal ?? new JoinError('device_unknown')
}

async function join(
  dependencies: AnswerJoinDependencies,
  peer: NetworkServer,
  request: ActivationReq,
  keySet: JoinKeySet,
): Promise<JoinOutcome | 'overtaken'> {
  const device = decodeDeviceRecord(keySet.record)
  checkPolicy(device, request)
  const digest = requestDigest(request)
  const last = keySet.state?.last
  if (last?.requestDigest.equals(digest) === true) return repeat(dependencies, peer, request, keySet, device, last)

  const recipients = newestRecipients(dependencies.joins, peer, device)
  const joinNonce = (keySet.state?.lastJoinNonce ?? 0) + 1
  const refusal = refuse(peer, keySet, device, request, recipients, joinNonce)
  if (refusal !== undefined) {
    // A forged frame must learn nothing of the nonces: its MIC comes first (docs/backend-interfaces.md).
    await dependencies.hsm.verifyJoinRequest(frameCommand(keySet, request))
    throw new JoinError(refusal)
  }
  const answer = await dependencies.hsm.answerJoin(command(request, keySet, recipients, joinNonce))
  const commit = newCommit(request, keySet, device, recipients, answer, joinNonce, digest, dependencies.now())
  const [result] = await dependencies.joins.commit([{ join: commit }])
  dependencies.receiptCommitted(answer.receipt)
  return result === 'committed' ? outcomeOf(answer, recipients) : 'overtaken'
}

/** The same request once more: the same nonce and KEKs give the same answer. Its key use is recorded all the same. */
async function repeat(
  dependencies: AnswerJoinDependencies,
  peer: NetworkServer,
  request: ActivationReq,
  keySet: JoinKeySet,
  device: DeviceRecord,
  last: LastJoin,
): Promise<JoinOutcome> {
  const { joins, hsm } = dependencies
  const nsKek = last.nsKekId && joins.findKek(last.nsKekId)
  const asKek = last.asKekId && joins.findKek(last.asKekId)
  const missing = (last.nsKekId !== undefined && !nsKek) || (last.asKekId !== undefined && !asKek)
  // The KEK of that answer was removed: the answer cannot be given again, and its counter is used.
  const refusal = missing ? usedCounter(request) : refuseNetworkKek(peer, nsKek)
  if (refusal !== undefined) {
    await hsm.verifyJoinRequest(frameCommand(keySet, request))
    throw new JoinError(refusal)
  }
  const recipients = { nsKek, asKek, appSKeyToNetwork: asKek ? 'no' : appSKeyToNetwork(peer, device) } as const
  const answer = await hsm.answerJoin(command(request, keySet, recipients, last.joinNonce))
  await joins.commit([{ receipt: answer.receipt }])
  dependencies.receiptCommitted(answer.receipt)
  return outcomeOf(answer, recipients)
}

function usedCounter(request: ActivationReq): JoinErrorCode {
  return isRejoin(request) ? 'rejoin_count_reused' : 'dev_nonce_reused'
}

function checkPolicy(device: DeviceRecord, request: ActivationReq): void {
  if (device.networks.length === 0) throw new JoinError('device_not_activated')
  if (!device.networks.includes(request.netId)) throw new JoinError('network_not_allowed')
  if (isRejoin(request) && device.nwkKey === undefined) throw new JoinError('rejoin_unsupported')
}

/** What speaks against a join beside its MIC; nothing is written. */
function refuse(
  peer: NetworkServer,
  { state }: JoinKeySet,
  device: DeviceRecord,
  request: ActivationReq,
  recipients: Recipients,
  joinNonce: number,
): JoinErrorCode | undefined {
  const history = refuseHistory(state, device.macVersion, request)
  if (history !== undefined) return history
  if (joinNonce > MAX_JOIN_NONCE) return 'join_nonce_exhausted'
  return refuseRecipients(peer, device, recipients)
}

function frameCommand(keySet: JoinKeySet, request: ActivationReq) {
  return { deviceRecord: keySet.record, phyPayload: toBuffer(request.phyPayload) }
}

function command(request: ActivationReq, keySet: JoinKeySet, recipients: Recipients, joinNonce: number) {
  const { nsKek, asKek, appSKeyToNetwork } = recipients
  return {
    ...frameCommand(keySet, request),
    netId: toBuffer(netIdToBytes(request.netId)),
    devAddr: toBuffer(devAddrToBytes(request.devAddr)),
    dlSettings: request.dlSettings,
    rxDelay: request.rxDelay,
    cfList: request.cfList && toBuffer(request.cfList),
    joinNonce,
    nsKekRecord: nsKek?.record,
    asKekRecord: asKek?.record,
    appSKeyToNetwork,
  }
}

function newCommit(
  request: ActivationReq,
  keySet: JoinKeySet,
  device: DeviceRecord,
  { nsKek, asKek }: Recipients,
  answer: JoinAnswer,
  joinNonce: number,
  digest: Buffer,
  now: number,
): JoinCommit {
  const { devNonces, devNonce, nextRjCount1 } = countersAfter(keySet.state, device.macVersion, request)
  return {
    keySet: keySet.keySet,
    previous: keySet.state,
    devNonces,
    nextRjCount1,
    last: {
      requestDigest: digest,
      devNonce,
      joinNonce,
      sessionKeyId: answer.sessionKeyId,
      nsKekId: nsKek?.kekId,
      asKekId: asKek?.kekId,
      netId: request.netId,
      devAddr: request.devAddr,
      joinedAt: now,
    },
    sessionRecord: answer.sessionRecord,
    receipt: answer.receipt,
  }
}

function outcomeOf(answer: JoinAnswer, { nsKek, asKek, appSKeyToNetwork }: Recipients): JoinOutcome {
  const appSKeyKek = appSKeyToNetwork === 'likeNetworkKeys' ? nsKek : asKek
  return {
    phyPayload: answer.phyPayload,
    networkKeys: networkKeysOf(answer.networkKeys.map((aesKey) => envelope(aesKey, nsKek))),
    appSKey: answer.appSKey && envelope(answer.appSKey, appSKeyKek),
    appSKeyFor: appSKeyToNetwork === 'no' ? 'application-server' : 'network',
    sessionKeyId: answer.sessionKeyId,
    lifetime: LIFETIME,
  }
}

function networkKeysOf(keys: readonly KeyEnvelope[]): NetworkSessionKeys {
  const [first, second, third] = keys
  if (first === undefined) throw new JoinError('hsm_refused')
  if (second === undefined || third === undefined) return { nwkSKey: first }
  return { fNwkSIntKey: first, sNwkSIntKey: second, nwkSEncKey: third }
}

function envelope(aesKey: Uint8Array, kek: Kek | undefined): KeyEnvelope {
  return kek === undefined ? { aesKey } : { kekLabel: kek.label, aesKey }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
