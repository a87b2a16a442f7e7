import { parseNsId } from '@mortise/lorawan'
import type { Storage } from '../../../src/storage/index.ts'

/** A database under test: fresh, and with a look at what no port reads yet. */
export interface StorageUnderTest extends Disposable {
  readonly storage: Storage
  /** Bodies of all receipts, in the order of the chains; one that came twice is there once. */
  receipts(): Buffer[]
  /** `bootEpoch/worker/sequence/closing` of all heads. */
  heads(): string[]
  /** Closes the database and opens it again. */
  reopen(): Storage
}

/** The id of nothing. */
export const UNKNOWN_ID = Buffer.alloc(16, 0xee)
export const NS_ID = parseNsId('70b3d57ed0000005')
/** The fingerprint of a certificate that a peer lets go. */
export const FREED = 'fe'.repeat(32)
