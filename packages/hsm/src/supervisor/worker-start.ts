import { signerId } from '../orders/sign-order.ts'
import type { SharedState, WorkerStart } from '../worker/messages.ts'
import type { SealedStore } from './sealed-store.ts'

/** Objects (about 245 leaked bytes each) after which a worker on a PKCS#11 token is replaced: some 75 MB. */
const PKCS11_OBJECT_LIMIT = 300_000

/** What a boot of the HSM has open. */
export interface Unsealed {
  readonly store: SealedStore
  /** Of the token; absent for the soft HSM. */
  readonly pin: Buffer | undefined
  readonly bootEpoch: number
}

/** Everything that a worker needs to serve. */
export function workerStart({ store, pin, bootEpoch }: Unsealed, worker: number, workers: number): WorkerStart {
  const { backend, checkValues, hsmId, storageKeyId, operatorPublicKey, importPublicKey, receiptPublicKey } =
    store.state
  return {
    type: 'start',
    backend,
    pin,
    checkValues,
    hsmId,
    storageKeyId,
    operatorPublicKey,
    importPublicKey,
    receiptPublicKey,
    bootEpoch,
    worker,
    workers,
    objectLimit: backend.kind === 'pkcs11' ? PKCS11_OBJECT_LIMIT : Number.MAX_SAFE_INTEGER,
    state: sharedState(store, store.state.floors),
  }
}

/** What workers are told when an order has changed the store. */
export function sharedState({ state }: SealedStore, floors: ReadonlyMap<string, number>): SharedState {
  const operator = signerId(state.operatorPublicKey).toString('hex')
  return { epoch: state.epoch, lastSequence: state.lastSequence.get(operator) ?? 0, floors }
}
