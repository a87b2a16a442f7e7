import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HsmClient, type HsmClientState } from '@mortise/hsm'
import { LocalAdministration, OrderAdopter } from '../../src/kms/index.ts'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import type { TestHsm } from './hsm.ts'

const STATE_TIMEOUT_MS = 15_000

/** Everything of a server but its listeners, wired as main.ts wires it: storage, client of the HSM, administration. */
export interface TestServer extends AsyncDisposable {
  readonly storage: Storage
  readonly client: HsmClient
  readonly adopter: OrderAdopter
  readonly administration: LocalAdministration
  /** The owner that orders have to name. */
  readonly owner: string
  /** Receipts that were reported as durable. */
  readonly receipts: Buffer[]
  reached(state: HsmClientState): Promise<void>
}

export interface TestServerOptions {
  /** Stands between the database and its users, to make it fail. */
  readonly wrapStorage?: (storage: Storage['administration']) => Storage['administration']
  readonly adopted?: () => void
}

/** Opens the database of this HSM's directory, which is made when it is not there, and connects. */
export async function startServer(hsm: TestHsm, options: TestServerOptions = {}): Promise<TestServer> {
  const path = join(hsm.root, 'mortise.db')
  const storage = openOrCreate(path)
  // As `mortise init` does.
  await storage.administration.recordOperatorPublicKey(hsm.operator.publicKey)
  const administrationStorage = options.wrapStorage?.(storage.administration) ?? storage.administration
  const receipts: Buffer[] = []
  const client = new HsmClient({
    socketPath: hsm.serverSocket,
    knownEpoch: () => storage.administration.hsmEpoch(),
    onReceipts: async ({ receipts, heads }) => {
      await storage.joins.commit(receipts.map((receipt) => ({ receipt })))
      await storage.administration.recordHeads(heads)
    },
    onState: (state) => {
      if (state === 'ready' || state === 'rolled-back') void adopter.adoptWaiting()
    },
  })
  const adopter: OrderAdopter = new OrderAdopter({
    storage: administrationStorage,
    hsm: client,
    receiptCommitted: (receipt) => receipts.push(receipt),
    ...(options.adopted && { adopted: options.adopted }),
  })
  return {
    storage,
    client,
    adopter,
    administration: new LocalAdministration({ storage: administrationStorage, hsm: client, adopter }),
    owner: storage.administration.organisationId().toString('hex'),
    receipts,
    reached: (state) => until(() => client.state === state),
    async [Symbol.asyncDispose]() {
      await adopter[Symbol.asyncDispose]()
      await client.close()
      storage[Symbol.dispose]()
    },
  }
}

export function openOrCreate(path: string): Storage {
  try {
    createDatabase(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'database_exists')) throw error
  }
  return openDatabase(path)
}

/** Waits until something is so. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + STATE_TIMEOUT_MS
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not become so in time')
    await delay(10)
  }
}
