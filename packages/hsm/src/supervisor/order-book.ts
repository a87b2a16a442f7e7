import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import { MAX_UNACKNOWLEDGED_ORDERS, type StoreState } from '../store/state.ts'

/** The part of the sealed store that orders change. Pure: the supervisor writes the result. */

/**
 * How far a sequence number, and an epoch that the operator accepts, may run ahead. Both come from the server when the
 * CLI asks for them: a lie must not use up all numbers. A store restored from a copy may be far behind.
 */
const MAX_SEQUENCE_GAP = 1_000_000
const MAX_EPOCH_GAP = 1_000_000

/**
 * Whether an order may be carried out now.
 * @throws HsmError order_replayed, order_sequence_gap, label_in_use, order_backlog_full
 */
export function claimOrder(state: StoreState, claim: OrderClaim): ClaimAnswer {
  const repeated = state.unacknowledged.find(
    ({ signer, sequence }) => signer === claim.signer && sequence === claim.sequence,
  )
  if (repeated?.orderDigest.equals(claim.orderDigest) === true)
    return { kind: 'repeated', applied: { changes: repeated.records, epoch: state.epoch, receipt: repeated.receipt } }
  const last = state.lastSequence.get(claim.signer) ?? 0
  if (claim.sequence <= last) throw new HsmError('order_replayed')
  if (claim.sequence > last + MAX_SEQUENCE_GAP) throw new HsmError('order_sequence_gap')
  if (state.unacknowledged.length >= MAX_UNACKNOWLEDGED_ORDERS) throw new HsmError('order_backlog_full')
  return { kind: 'new', kekVersions: nextKekVersions(state, claim) }
}

/**
 * The store after an order: a new object, with the next epoch.
 * @throws HsmError order_malformed: an accepted epoch that cannot be
 */
export function commitOrder(state: StoreState, commit: OrderCommit): StoreState {
  const { signer, sequence, orderDigest, changes, receipt, acceptedEpoch = 0 } = commit
  if (acceptedEpoch > state.epoch + MAX_EPOCH_GAP) throw new HsmError('order_malformed', 'epoch')
  const floors = new Map([...state.floors, ...commit.floors])
  const labels = new Map(state.labels)
  const kekVersions = new Map(state.kekVersions)
  for (const { kekId, recipient, label } of commit.newKeks) {
    labels.set(labelName(recipient, label), kekId)
    kekVersions.set(recipient, (kekVersions.get(recipient) ?? 0) + 1)
  }
  return {
    ...state,
    epoch: Math.max(state.epoch, acceptedEpoch) + 1,
    floors,
    labels,
    kekVersions,
    lastSequence: new Map([...state.lastSequence, [signer, sequence]]),
    unacknowledged: [...state.unacknowledged, { signer, sequence, orderDigest, records: [...changes], receipt }],
  }
}

/**
 * Forgets the outcomes that the database has made durable. Not worth a write of its own: if it is lost, a repetition is
 * answered once more.
 */
export function acknowledgeOrder(state: StoreState, signer: string, sequence: number): StoreState {
  const unacknowledged = state.unacknowledged.filter((order) => order.signer !== signer || order.sequence > sequence)
  return { ...state, unacknowledged }
}

function nextKekVersions(state: StoreState, claim: OrderClaim): number[] {
  const versions = new Map(state.kekVersions)
  const labels = new Set(state.labels.keys())
  return claim.newKeks.map(({ recipient, label }) => {
    const name = labelName(recipient, label)
    // A label never names another value, not even after its KEK was removed: whoever unwraps goes by the label alone.
    if (labels.has(name)) throw new HsmError('label_in_use', label)
    labels.add(name)
    const version = (versions.get(recipient) ?? 0) + 1
    versions.set(recipient, version)
    return version
  })
}

/** A space stands in no part, so that two different labels never have one name. */
function labelName(recipient: string, label: string): string {
  return `${recipient} ${label}`
}
