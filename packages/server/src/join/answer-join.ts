import type { JoinOutcome, JoinReq, KeyEnvelope, NetworkSessionKeys } from '@mortise/backend-interfaces'
import { decodeDeviceRecord, type DeviceRecord, HsmError, type HsmClient, type JoinAnswer } from '@mortise/hsm'
import { devAddrToBytes, devNonceRule, MAX_JOIN_NONCE, netIdToBytes } from '@mortise/lorawan'
import type { NetworkServer } from '../identity/index.ts'
import type { JoinCommit, JoinReader, JoinWriter, JoinKeySet, Kek, LastJoin } from '../storage/index.ts'
import { acceptsDevNonce, addDevNonce, exhaustsDevNonces } from './dev-nonces.ts'
import { JoinError, type JoinErrorCode, joinErrorOf } from './errors.ts'
import { requestDigest } from './request-digest.ts'

export interface AnswerJoinDependencies {
  readonly joins: JoinReader & JoinWriter
  readonly hsm: Pick<HsmClient, 'answerJoin' | 'verifyJoinRequest'>
  /** Called when a receipt is durable. */
  readonly receiptCommitted: (receipt: Buffer) => void
  readonly now: () => number
}

export type AnswerJoin = (peer: NetworkServer, request: JoinReq) => Promise<JoinOutcome>

/** How often a join that lost against another one of the same device looks again. */
const MAX_ATTEMPTS = 4

/** Seconds that a session may be used, in JoinAns. 0 = without limit. */
const LIFETIME = 0

/** The KEKs that one answer uses. */
interface Recipients {
  readonly nsKek: Kek | undefined
  readonly asKek: Kek | undefined
}

/**
 * Answers a JoinReq. Computes first, commits by compare-and-set, and resolves only when the commit is durable; the same
 * request again is computed again from what the commit kept, and gets the same answer.
 * The promise rejects with JoinError.
 */
export function createAnswerJoin(dependencies: AnswerJoinDependencies): AnswerJoin {
  const { joins } = dependencies
  return async function answerJoin(peer, request) {
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const keySets = joins.findKeySets(request.frame.joinEui, request.devEui)
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
  request: JoinReq,
  keySet: JoinKeySet,
): Promise<JoinOutcome | 'overtaken'> {
  const device = decodeDeviceRecord(keySet.record)
  checkNetwork(device, request)
  const digest = requestDigest(request)
  const last = keySet.state?.last
  if (last?.requestDigest.equals(digest) === true) return repeat(dependencies, request, keySet, last)

  const recipients = newestKeks(dependencies.joins, peer, device)
  const joinNonce = (keySet.state?.lastJoinNonce ?? 0) + 1
  const refusal = refuse(keySet, device, request, recipients, joinNonce)
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
  request: JoinReq,
  keySet: JoinKeySet,
  last: LastJoin,
): Promise<JoinOutcome> {
  const { joins, hsm } = dependencies
  const nsKek = last.nsKekId && joins.findKek(last.nsKekId)
  const asKek = last.asKekId && joins.findKek(last.asKekId)
  const missing = (last.nsKekId !== undefined && !nsKek) || (last.asKekId !== undefined && !asKek)
  if (missing) {
    // The KEK of that answer was removed: the answer cannot be given again, and its DevNonce is used.
    await hsm.verifyJoinRequest(frameCommand(keySet, request))
    throw new JoinError('dev_nonce_reused')
  }
  const answer = await hsm.answerJoin(command(request, keySet, { nsKek, asKek }, last.joinNonce))
  await joins.commit([{ receipt: answer.receipt }])
  dependencies.receiptCommitted(answer.receipt)
  return outcomeOf(answer, { nsKek, asKek })
}

function checkNetwork(device: DeviceRecord, request: JoinReq): void {
  if (device.networks.length === 0) throw new JoinError('device_not_activated')
  if (!device.networks.includes(request.netId)) throw new JoinError('network_not_allowed')
}

function newestKeks(joins: JoinReader, peer: NetworkServer, device: DeviceRecord): Recipients {
  const firstAs = device.applicationServers[0]
  return {
    nsKek: joins.newestKek('ns', peer.id),
    asKek: firstAs === undefined ? undefined : joins.newestKek('as', firstAs),
  }
}

/** What speaks against a join beside its MIC; nothing is written. */
function refuse(
  keySet: JoinKeySet,
  device: DeviceRecord,
  request: JoinReq,
  recipients: Recipients,
  joinNonce: number,
): JoinErrorCode | undefined {
  const rule = devNonceRule(device.macVersion)
  const history = keySet.state?.devNonces
  if (!acceptsDevNonce(history, rule, request.frame.devNonce))
    return exhaustsDevNonces(history, rule) ? 'dev_nonces_exhausted' : 'dev_nonce_reused'
  if (joinNonce > MAX_JOIN_NONCE) return 'join_nonce_exhausted'
  // No plaintext fallback: without its KEK the AppSKey would have no way to its owner.
  if (device.applicationServers.length > 0 && recipients.asKek === undefined) return 'application_kek_missing'
  return undefined
}

function frameCommand(keySet: JoinKeySet, request: JoinReq) {
  return { deviceRecord: keySet.record, phyPayload: toBuffer(request.phyPayload) }
}

function command(request: JoinReq, keySet: JoinKeySet, { nsKek, asKek }: Recipients, joinNonce: number) {
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
    appSKeyToNetwork: 'no' as const,
  }
}

function newCommit(
  request: JoinReq,
  keySet: JoinKeySet,
  device: DeviceRecord,
  { nsKek, asKek }: Recipients,
  answer: JoinAnswer,
  joinNonce: number,
  digest: Buffer,
  now: number,
): JoinCommit {
  const { devNonce } = request.frame
  return {
    keySet: keySet.keySet,
    previous: keySet.state,
    devNonces: addDevNonce(keySet.state?.devNonces, devNonceRule(device.macVersion), devNonce),
    nextRjCount1: keySet.state?.nextRjCount1 ?? 0,
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

function outcomeOf(answer: JoinAnswer, { nsKek, asKek }: Recipients): JoinOutcome {
  return {
    phyPayload: answer.phyPayload,
    networkKeys: networkKeysOf(answer.networkKeys.map((aesKey) => envelope(aesKey, nsKek))),
    appSKey: answer.appSKey && envelope(answer.appSKey, asKek),
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
