import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { HsmClient } from '@mortise/hsm'
import { ReceiptProgress, recordReceipts } from './audit/index.ts'
import { type DataDirectory, dataDirectory, type ServeOptions } from './config/index.ts'
import { HsmProcess } from './hsm-process.ts'
import { Admission, createListener, createMessageHandler, type Listener } from './http/backend-interfaces/index.ts'
import { type ServerLimits, serverLimits } from './http/limits.ts'
import { createManagementApi, type ManagementApi } from './http/management-api/index.ts'
import { Metrics } from './http/metrics.ts'
import { OverloadLog } from './http/overload-log.ts'
import { RefusalLog } from './http/refusal-log.ts'
import { ApiKeys, PeerDirectory } from './identity/index.ts'
import { createAnswerJoin, createReleaseAppSKey } from './join/index.ts'
import { type Administration, LocalAdministration, OrderAdopter } from './kms/index.ts'
import { acquireDirectoryLock } from './lock/index.ts'
import { openDatabase, type Storage } from './storage/index.ts'

export interface RunningServer {
  readonly biAddress: { readonly host: string; readonly port: number }
  readonly apiAddress: { readonly host: string; readonly port: number }
  /** Resolves when {@link stop} is done; rejects with HsmRefusedError when the HSM process refuses to open its store. */
  readonly stopped: Promise<void>
  /** Answers what is in flight, makes the last receipts durable, and lets the HSM process end. */
  stop(): Promise<void>
}

/**
 * Starts the server: the one place where things are constructed, and where they are disposed.
 * @throws StorageError when the directory is locked or the database cannot be trusted
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const directory = dataDirectory(options.dataDirectory)
  await using cleanup = new AsyncDisposableStack()
  cleanup.use(acquireDirectoryLock(directory.root))
  const storage = cleanup.use(openDatabase(directory.database, { log: options.log, checkInBackground: true }))
  const peers = new PeerDirectory(storage.administration)
  const hsm = cleanup.adopt(connectHsm(options, directory, storage), (connected) => connected.close())
  const adopter = cleanup.use(
    new OrderAdopter({
      storage: storage.administration,
      hsm: hsm.client,
      receiptCommitted: (receipt) => hsm.progress.committed(receipt),
      adopted: () => peers.reload(),
    }),
  )
  hsm.onReady(() => adopter.adoptWaiting())
  const administration = new LocalAdministration({
    storage: storage.administration,
    hsm: hsm.client,
    adopter,
    databaseFailure: () => storage.failure?.code,
  })
  const limits = serverLimits()
  if (limits.lowered !== undefined) options.log(limits.lowered)
  const metrics: Metrics = new Metrics([
    ...gauges(hsm.client, storage),
    { name: 'mortise_connections', help: 'Backend Interfaces connections.', read: () => listener.connections },
    { name: 'mortise_messages_in_flight', help: 'Messages being answered.', read: () => admission.inFlight },
    { name: 'mortise_message_places', help: 'Messages that may be in flight.', read: () => admission.places },
  ])
  const overload = new OverloadLog(metrics, options.log)
  const admission = new Admission({
    limits: limits.admission,
    refused: (reason, messageType, result) => {
      metrics.answered(messageType, result)
      overload.write('message', reason)
    },
  })
  const load = { limits, overload, admission }
  const listener = createBackendInterfaces(options, directory, { storage, hsm, peers, metrics, load })
  const api = createApi(options, directory, { storage, hsm, adopter, administration, metrics, load })
  // Both at once: neither takes new connections while the other still answers.
  cleanup.defer(async () => {
    await Promise.all([listener.close(), api.close()])
  })
  const biAddress = await listener.listen(options.biListen.host, options.biListen.port)
  const apiAddress = await api.listen(options.apiListen.host, options.apiListen.port)
  writeServerFile(directory, biAddress, apiAddress)
  cleanup.defer(() => rmSync(directory.serverFile, { force: true }))
  const running = cleanup.move()
  const { promise: stopped, resolve, reject } = Promise.withResolvers<undefined>()
  // Whoever waits for it sees a refusal; nobody has to.
  stopped.catch(() => undefined)
  hsm.refused?.catch(reject)
  const stop = async (): Promise<void> => {
    await running.disposeAsync()
    resolve(undefined)
  }
  return { biAddress, apiAddress, stopped, stop }
}

/** The client of the trust boundary, the process behind it if the server starts one, and what is known of its receipts. */
interface ConnectedHsm {
  readonly client: HsmClient
  readonly progress: ReceiptProgress
  /** Rejects when the HSM process must not be started again; absent when the server does not start it. */
  readonly refused: Promise<never> | undefined
  onReady(callback: () => Promise<void>): void
  close(): Promise<void>
}

function connectHsm({ hsm, log }: ServeOptions, directory: DataDirectory, storage: Storage): ConnectedHsm {
  const child = hsm.kind === 'spawn' ? new HsmProcess(directory, hsm, log) : undefined
  if (child !== undefined) log('the HSM process runs under the same user as the server; see docs/threat-model.md')
  child?.start()
  let ready: () => Promise<void> = () => Promise.resolve()
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
      if (state === 'ready' || state === 'rolled-back') ready().catch(failed)
    },
  })
  return {
    client,
    progress,
    refused: child?.refused,
    onReady: (callback) => {
      ready = callback
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

/** How much is taken on, and who is told when it is too much. */
interface Load {
  readonly limits: ServerLimits
  readonly overload: OverloadLog
  readonly admission: Admission
}

function createBackendInterfaces(
  { biPaths, log }: ServeOptions,
  directory: DataDirectory,
  parts: { storage: Storage; hsm: ConnectedHsm; peers: PeerDirectory; metrics: Metrics; load: Load },
): Listener {
  const { storage, hsm, peers, metrics, load } = parts
  const refusals = new RefusalLog(log)
  const receiptCommitted = (receipt: Buffer): void => hsm.progress.committed(receipt)
  const dependencies = { joins: storage.joins, hsm: hsm.client, receiptCommitted, now: Date.now }
  const handle = createMessageHandler({
    answerJoin: createAnswerJoin(dependencies),
    releaseAppSKey: createReleaseAppSKey(dependencies),
    metrics,
    refused: (refusal) => refusals.write(refusal),
  })
  const failed = (error: unknown): void => log(`a message could not be answered: ${messageOf(error)}`)
  return createListener({
    ...{ tls: readTls(directory), peers, handle: load.admission.guard(handle), paths: biPaths ?? [], failed },
    limits: load.limits.backendInterfaces,
    refused: (reason) => load.overload.write('connection', reason),
  })
}

function createApi(
  { log }: ServeOptions,
  directory: DataDirectory,
  parts: {
    storage: Storage
    hsm: ConnectedHsm
    adopter: OrderAdopter
    administration: Administration
    metrics: Metrics
    load: Load
  },
): ManagementApi {
  const { storage, hsm, adopter, administration, metrics, load } = parts
  const readiness = () => {
    const reasons: string[] = []
    if (hsm.client.state !== 'ready') reasons.push(`HSM: ${hsm.client.state}`)
    if (!adopter.allSettled) reasons.push('orders are waiting to be adopted')
    if (storage.failure !== undefined) reasons.push(`database: ${storage.failure.code}`)
    return { ready: reasons.length === 0, reasons }
  }
  const apiKeys = new ApiKeys(storage.administration)
  const failed = (error: unknown): void => log(`a request to the management API failed: ${messageOf(error)}`)
  return createManagementApi({
    ...{ tls: readTls(directory), administration, apiKeys, readiness, metrics, failed },
    limits: load.limits.managementApi,
    refused: (reason) => load.overload.write('connection', reason),
  })
}

function gauges(hsm: HsmClient, storage: Storage) {
  return [
    { name: 'mortise_hsm_ready', help: '1 when the HSM process serves.', read: () => (hsm.state === 'ready' ? 1 : 0) },
    { name: 'mortise_hsm_in_flight', help: 'Requests that the HSM process works on.', read: () => hsm.inFlight },
    {
      name: 'mortise_database_ok',
      help: '1 when the last commit to the database worked.',
      read: () => (storage.failure === undefined ? 1 : 0),
    },
    { name: 'mortise_devices', help: 'Devices.', read: () => storage.administration.countDevices() },
    { name: 'process_resident_memory_bytes', help: 'Resident memory.', read: () => process.memoryUsage.rss() },
  ]
}

function readTls(directory: DataDirectory): { cert: string; key: string } {
  return { cert: readFileSync(directory.tlsCertificate, 'utf8'), key: readFileSync(directory.tlsKey, 'utf8') }
}

function writeServerFile(
  directory: DataDirectory,
  bi: { host: string; port: number },
  api: { host: string; port: number },
): void {
  mkdirSync(directory.run, { recursive: true, mode: 0o700 })
  const body = { pid: process.pid, bi: `${bi.host}:${bi.port}`, api: `${api.host}:${api.port}` }
  // Beside and renamed: whoever looks for the server while it starts must not find half a file.
  const unfinished = `${directory.serverFile}.new`
  writeFileSync(unfinished, `${JSON.stringify(body)}\n`, { mode: 0o600 })
  renameSync(unfinished, directory.serverFile)
}

/**
 * The administration of a directory whose server does not run: it reads the database, and orders wait there for the next
 * start. Holds the directory's lock.
 * @throws StorageError database_locked while a server runs
 */
export function openLocalAdministration(root: string): Administration & AsyncDisposable {
  const directory = dataDirectory(root)
  const lock = acquireDirectoryLock(directory.root)
  const storage = openDatabase(directory.database)
  const administration = new LocalAdministration({ storage: storage.administration })
  return Object.assign(administration, {
    [Symbol.asyncDispose]: () => {
      storage[Symbol.dispose]()
      lock[Symbol.dispose]()
      return Promise.resolve()
    },
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
