import type { FailureCode } from '@mortise/backend-interfaces'
import { HsmError, type HsmErrorCode } from '@mortise/hsm'
import { StorageError } from '../storage/index.ts'

/** Why a JoinReq, a RejoinReq, an AppSKeyReq or a HomeNSReq is refused. */
export type JoinErrorCode =
  | 'device_unknown'
  | 'device_not_activated'
  | 'network_not_allowed'
  | 'mic_mismatch'
  | 'dev_nonce_reused'
  | 'dev_nonces_exhausted'
  | 'join_nonce_exhausted'
  | 'device_not_joined'
  | 'rejoin_unsupported'
  | 'rejoin_of_other_network'
  | 'rejoin_count_reused'
  | 'rejoin_counts_exhausted'
  | 'roaming_agreement_missing'
  | 'network_kek_missing'
  | 'network_kek_unusable'
  | 'application_kek_missing'
  | 'session_unknown'
  | 'application_server_not_allowed'
  | 'hsm_refused'
  | 'hsm_unavailable'
  | 'storage_failed'
  | 'storage_full'
  | 'overtaken'

/** The one table from a refusal to the Backend Interfaces: a new code does not compile until it has its row. */
export const RESULT: Record<JoinErrorCode, { readonly result: FailureCode; readonly description: string }> = {
  device_unknown: { result: 'UnknownDevEUI', description: 'no such device' },
  device_not_activated: { result: 'ActivationDisallowed', description: 'the owner has not allowed any network yet' },
  network_not_allowed: { result: 'NoRoamingAgreement', description: 'the owner has not allowed this network' },
  mic_mismatch: { result: 'MICFailed', description: 'the join-request was not made with this device key' },
  dev_nonce_reused: { result: 'FrameReplayed', description: 'DevNonce has been used before' },
  dev_nonces_exhausted: {
    result: 'FrameReplayed',
    description: 'every DevNonce has been used: the device needs new root keys, a counter another JoinEUI too',
  },
  join_nonce_exhausted: {
    result: 'JoinReqFailed',
    description: 'JoinNonce is exhausted: the device needs new root keys',
  },
  device_not_joined: { result: 'JoinReqFailed', description: 'the device has to join before it can rejoin' },
  rejoin_unsupported: { result: 'JoinReqFailed', description: 'only a LoRaWAN 1.1 device rejoins' },
  rejoin_of_other_network: {
    result: 'JoinReqFailed',
    description: 'the session of the device is with another network: only that can check such a rejoin-request',
  },
  rejoin_count_reused: { result: 'FrameReplayed', description: 'this RJcount has been used before' },
  rejoin_counts_exhausted: {
    result: 'FrameReplayed',
    description: 'every RJcount1 has been used: the device needs another JoinEUI',
  },
  roaming_agreement_missing: {
    result: 'NoRoamingAgreement',
    description: 'there is no roaming agreement for this device with this network',
  },
  network_kek_missing: {
    result: 'JoinReqFailed',
    description: 'the network server has no KEK, and gets no key in clear',
  },
  network_kek_unusable: {
    result: 'JoinReqFailed',
    description: 'the KEK of the network server has a size that it cannot unwrap under',
  },
  application_kek_missing: { result: 'JoinReqFailed', description: 'the application server of the device has no KEK' },
  session_unknown: { result: 'UnknownDevEUI', description: 'no such session' },
  application_server_not_allowed: {
    result: 'ActivationDisallowed',
    description: 'the device does not belong to this application server',
  },
  hsm_refused: { result: 'JoinReqFailed', description: 'the key store refused the request' },
  hsm_unavailable: { result: 'Other', description: 'the key store is not available' },
  storage_failed: { result: 'Other', description: 'the database is not available' },
  storage_full: { result: 'Other', description: 'the disk is full' },
  overtaken: { result: 'JoinReqFailed', description: 'other joins of this device were faster' },
}

export class JoinError extends Error {
  override readonly name = 'JoinError'
  readonly code: JoinErrorCode

  constructor(code: JoinErrorCode, options?: ErrorOptions) {
    super(code, options)
    this.code = code
  }
}

const UNAVAILABLE: ReadonlySet<HsmErrorCode> = new Set([
  'sealed',
  'store_rolled_back',
  'token_failed',
  'busy',
  'receipts_backlog_full',
])

/** What a refusal by the trust boundary means for the join. */
export function joinErrorOf(error: unknown): JoinError {
  if (error instanceof JoinError) return error
  if (error instanceof StorageError && error.code === 'disk_full')
    return new JoinError('storage_full', { cause: error })
  if (!(error instanceof HsmError)) return new JoinError('storage_failed', { cause: error })
  if (error.code === 'mic_mismatch') return new JoinError('mic_mismatch', { cause: error })
  return new JoinError(UNAVAILABLE.has(error.code) ? 'hsm_unavailable' : 'hsm_refused', { cause: error })
}
