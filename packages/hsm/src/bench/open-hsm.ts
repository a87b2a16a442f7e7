import { Floors } from '../custody/floors.ts'
import type { Custody } from '../custody/custody.ts'
import { KekCache } from '../custody/kek-cache.ts'
import { ReceiptChain } from '../receipts/chain.ts'
import { readSecretLine } from '../secret-file.ts'
import type { StoreState } from '../store/state.ts'
import { claimDirectory } from '../supervisor/directory-claim.ts'
import { nameBoot, numberWorker } from '../supervisor/numbers.ts'
import { SealedStore } from '../supervisor/sealed-store.ts'
import { workerStart } from '../supervisor/worker-start.ts'
import { toBuffer, type WorkerStart } from '../worker/messages.ts'
import { startToken } from '../worker/start-token.ts'
import type { BenchHsmFiles } from './dialogue.ts'

/**
 * Opens an HSM as its supervisor does, for workers of a benchmark: claims the directory until this process ends, names a
 * boot, and numbers them.
 * @param admit may refuse what is in the store
 * @param begin starts them; the PIN is wiped when it is done
 * @throws HsmError busy, wrong_passphrase, store_damaged, token_failed; SecretFileError
 */
export async function openHsm<Result>(
  { directory, secretFile }: BenchHsmFiles,
  workers: number,
  admit: (state: StoreState) => void,
  begin: (starts: readonly WorkerStart[]) => Result | Promise<Result>,
): Promise<Result> {
  claims.push(claimDirectory(directory))
  const secret = readSecretLine(secretFile)
  try {
    const store = SealedStore.open(directory, secret)
    admit(store.state)
    const bootEpoch = nameBoot(store)
    const pin = store.state.backend.kind === 'pkcs11' ? secret : undefined
    const starts = Array.from({ length: workers }, () =>
      workerStart({ store, pin, bootEpoch }, numberWorker(store), workers),
    )
    return await begin(starts)
  } finally {
    secret.fill(0)
  }
}

/** Held: a claim that nothing refers to would be collected, and freed. */
const claims: Disposable[] = []

/** The operations of a worker without its sockets. Receipts are chained, and kept by whoever gets them. */
export function startCustody(start: WorkerStart): Custody {
  const token = startToken(start)
  const { bootEpoch, worker } = start
  const storageKeyId = toBuffer(start.storageKeyId)
  const floors = new Floors(start.state.floors)
  const receipts = new ReceiptChain(
    { hsmId: toBuffer(start.hsmId), bootEpoch, worker },
    (message) => token.sign(message),
    () => undefined,
  )
  return { token, storageKeyId, floors, keks: new KekCache(token, storageKeyId, floors), receipts }
}
