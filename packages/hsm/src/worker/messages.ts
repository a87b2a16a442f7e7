import type { RecordChange } from '../contract/order.ts'
import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import type { HsmErrorCode } from '../errors.ts'
import type { ChainEnd } from '../receipts/chain-end.ts'
import type { ReceiptAcknowledgement } from '../receipts/head.ts'
import type { BackendSettings } from '../token/settings.ts'
import type { CheckValues } from '../token/token.ts'

/** What supervisor and workers say to one another over Node's IPC channel (structured clone: Buffers arrive as Uint8Array). */

/** Everything that a worker needs to serve; sent once, over a pipe that nobody else reads. */
export interface WorkerStart {
  readonly type: 'start'
  readonly backend: BackendSettings
  /** PIN of the token; absent for the soft HSM. */
  readonly pin: Uint8Array | undefined
  readonly checkValues: CheckValues
  readonly hsmId: Uint8Array
  readonly storageKeyId: Uint8Array
  readonly operatorPublicKey: Uint8Array
  readonly importPublicKey: Uint8Array
  readonly receiptPublicKey: Uint8Array
  readonly bootEpoch: number
  readonly worker: number
  readonly workers: number
  /** Token objects after which the worker asks to be replaced. */
  readonly objectLimit: number
  readonly state: SharedState
}

/** What changes while workers run. */
export interface SharedState {
  readonly epoch: number
  readonly lastSequence: number
  readonly floors: ReadonlyMap<string, number>
}

export type ToWorker =
  | WorkerStart
  | { readonly type: 'connection' }
  /** `floors` are those that rose. Answered by `state-known`. */
  | { readonly type: 'state'; readonly revision: number; readonly state: SharedState }
  | { readonly type: 'orphans'; readonly chains: readonly ChainEnd[] }
  /** What the server said to another worker about a chain of receipts. */
  | { readonly type: 'acknowledged'; readonly acknowledged: readonly ReceiptAcknowledgement[] }
  | { readonly type: 'order-answer'; readonly id: number; readonly answer: OrderAnswer }
  | { readonly type: 'stop' }

export type OrderAnswer =
  | { readonly kind: 'claimed'; readonly claim: ClaimAnswer }
  | { readonly kind: 'committed'; readonly epoch: number }
  | { readonly kind: 'refused'; readonly code: HsmErrorCode; readonly detail: string | undefined }

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: HsmErrorCode; readonly detail: string | undefined }
  | { readonly type: 'state-known'; readonly revision: number }
  | { readonly type: 'order-claim'; readonly id: number; readonly claim: OrderClaim }
  | { readonly type: 'order-commit'; readonly id: number; readonly commit: OrderCommit }
  | { readonly type: 'order-abandon' }
  | { readonly type: 'order-acknowledged'; readonly signer: string; readonly sequence: number }
  | { readonly type: 'acknowledged'; readonly acknowledged: readonly ReceiptAcknowledgement[] }
  | { readonly type: 'chain-closed'; readonly bootEpoch: number; readonly worker: number }
  | { readonly type: 'connection-opened' }
  | { readonly type: 'connection-closed' }
  | { readonly type: 'retire' }

/** Structured clone turns a Buffer into a Uint8Array; this makes it a Buffer again, over the same bytes. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function reviveRecordChange({ kind, id, record }: RecordChange): RecordChange {
  return { kind, id: toBuffer(id), record: record && toBuffer(record) }
}
