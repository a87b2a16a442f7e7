import { HsmClient } from '@mortise/hsm'
import { ReceiptProgress, recordReceipts } from './audit/index.ts'
import type { DataDirectory, ServeOptions } from './config/index.ts'
import { HsmProcess } from './hsm-process.ts'
import { messageOf } from './message-of.ts'
import type { Storage } from './storage/index.ts'

/** The client of the trust boundary, the process behind it if the server starts one, and what is known of its receipts. */
export interface ConnectedHsm {
  readonly client: HsmClient
  readonly progress: ReceiptProgress
  /** Rejects when the HSM process must not be started again; absent when the server does not start it. */
  readonly refused: Promise<never> | undefined
  /** Adds to what is done each time the HSM process can carry out orders. */
  onReady(callback: () => Promise<void>): void
  close(): Promise<void>
}

/** Starts the HSM process if it is the server's, and connects. Does not wait for either: the client tells its state. */
export function connectHsm({ hsm, log }: ServeOptions, directory: DataDirectory, storage: Storage): ConnectedHsm {
  const child = hsm.kind === 'spawn' ? new HsmProcess(directory, hsm, log) : undefined
  if (child !== undefined) log('the HSM process runs under the same user as the server; see docs/threat-model.md')
  child?.start()
  const ready: (() => Promise<void>)[] = []
  let closing = false
  const failed = (error: unknown): void => log(`orders could not be adopted: ${messageOf(error)}`)
  const epochFailed = (error: unknown): void => log(`the epoch could not be recorded: ${messageOf(error)}`)
  const progress = new ReceiptProgress((acknowledged) => {
    client.acknowledgeReceipts(acknowledged)
  })
  const client: HsmClient = new HsmClient({
    socketPath: hsm.kind === 'socket' ? hsm.path : directory.serverSocket,
    knownEpoch: () => storage.administration.hsmEpoch(),
    onReceipts: (bundle) => recordReceipts(storage, progress, bundle),
    onState: (state) => {
      // Its connections end with the server: that is no news.
      if (!closing) log(`HSM: ${state}`)
      if (state === 'ready') recordEpoch(client, storage).catch(epochFailed)
      // A store that was rolled back waits for an order that accepts it, which may lie there already.
      if (state === 'ready' || state === 'rolled-back') for (const callback of ready) callback().catch(failed)
    },
  })
  return {
    client,
    progress,
    refused: child?.refused,
    onReady: (callback) => {
      ready.push(callback)
    },
    close: async () => {
      closing = true
      progress.close()
      await child?.stop()
      await client.close()
    },
  }
}

/** The database remembers the highest epoch of the store: an older store is then refused. */
async function recordEpoch(client: HsmClient, storage: Storage): Promise<void> {
  const epoch = client.welcome?.epoch ?? 0
  if (epoch > storage.administration.hsmEpoch()) await storage.administration.recordHsmEpoch(epoch)
}
