import type { Custody } from './custody/custody.ts'
import { Floors } from './custody/floors.ts'
import { KekCache } from './custody/kek-cache.ts'
import { ReceiptChain } from './receipts/chain.ts'
import { SealedStore } from './supervisor/sealed-store.ts'
import { openToken } from './token/open-token.ts'

export { answerJoin } from './custody/answer-join.ts'
export { parseEnvelope } from './orders/envelope.ts'

/** The operations of a worker without its process, its sockets and its supervisor. */
export interface Workbench extends Disposable {
  readonly custody: Custody
  /** RSA-3072, SPKI, DER. */
  readonly importPublicKey: Buffer
}

/**
 * Opens an HSM that nobody else works with, for a benchmark that has made it for itself: what the token alone can do is
 * measured here, and records are made in masses. Needs the passphrase or the PIN, as every way into an HSM does; its
 * receipts are kept by nobody.
 * @throws HsmError wrong_passphrase, store_damaged, token_failed
 */
export function openWorkbench(directory: string, secret: Buffer): Workbench {
  const { state } = SealedStore.open(directory, secret)
  const token = openToken(state.backend, secret)
  const { hsmId, storageKeyId, importPublicKey } = state
  const floors = new Floors(state.floors)
  const receipts = new ReceiptChain(
    { hsmId, bootEpoch: state.lastBoot, worker: state.lastWorker },
    (message) => token.sign(message),
    () => undefined,
  )
  return {
    custody: { token, storageKeyId, floors, keks: new KekCache(token, storageKeyId, floors), receipts },
    importPublicKey,
    [Symbol.dispose]() {
      token[Symbol.dispose]()
    },
  }
}
