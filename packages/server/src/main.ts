import { readFileSync } from 'node:fs'
import { dataDirectory, type DataDirectory, type ServeOptions, writeServerFile } from './config/index.ts'
import { type ConnectedHsm, connectHsm } from './connect-hsm.ts'
import { Admission, createListener, createMessageHandler, type Listener } from './http/backend-interfaces/index.ts'
import { serverGauges } from './http/gauges.ts'
import { type ServerLimits, serverLimits } from './http/limits.ts'
import { createManagementApi, type ManagementApi } from './http/management-api/index.ts'
import { Metrics } from './http/metrics.ts'
import { OverloadLog } from './http/overload-log.ts'
import { RefusalLog } from './http/refusal-log.ts'
import { ApiKeys, PeerDirectory } from './identity/index.ts'
import { createAnswerJoin, createReleaseAppSKey } from './join/index.ts'
import { type Administration, LocalAdministration, OrderAdopter } from './kms/index.ts'
import { acquireDirectoryLock } from './lock/index.ts'
import { messageOf } from './message-of.ts'
import { openDatabase, type Storage } from './storage/index.ts'

export interface RunningServer {
  readonly biAddress: { readonly host: string; readonly port: number }
  readonly apiAddress: { readonly host: string; readonly port: number }
  /** Resolves when {@link stop} is done; rejects with HsmRefusedError when the HSM process refuses to open its store. */
  readonly stopped: Promise<void>
  /** Answers what is in flight, makes the last receipts durable, and lets the HSM process end. */
  stop(): Promise<void>
}

/** What the listeners are made of. */
interface Services {
  readonly storage: Storage
  readonly peers: PeerDirectory
  readonly hsm: ConnectedHsm
  readonly adopter: OrderAdopter
  readonly administration: Administration
  readonly limits: ServerLimits
  readonly metrics: Metrics
  readonly overload: OverloadLog
  readonly admission: Admission
  readonly tls: { readonly cert: string; readonly key: string }
}

/**
 * Starts the server: the one place where things are constructed, and where they are disposed.
 * @throws StorageError when the directory is locked or the database cannot be trusted
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const directory = dataDirectory(options.dataDirectory)
  await using cleanup = new AsyncDisposableStack()
  const services = startServices(options, directory, cleanup)
  const listener = createBackendInterfaces(options, services)
  const api = createApi(options, services)
  services.metrics.show(serverGauges({ ...services, hsm: services.hsm.client, listener }))
  // Both at once: neither takes new connections while the other still answers.
  cleanup.defer(async () => {
    await Promise.all([listener.close(), api.close()])
  })
  const biAddress = await listener.listen(options.biListen.host, options.biListen.port)
  const apiAddress = await api.listen(options.apiListen.host, options.apiListen.port)
  cleanup.use(writeServerFile(directory, biAddress, apiAddress))
  const running = cleanup.move()
  const { promise: stopped, resolve, reject } = Promise.withResolvers<undefined>()
  // Whoever waits for it sees a refusal; nobody has to.
  stopped.catch(() => undefined)
  services.hsm.refused?.catch(reject)
  const stop = async (): Promise<void> => {
    await running.disposeAsync()
    resolve(undefined)
  }
  return { biAddress, apiAddress, stopped, stop }
}

/** Everything behind the listeners. What has an end is put on `cleanup`, in the order of its making. */
function startServices(options: ServeOptions, directory: DataDirectory, cleanup: AsyncDisposableStack): Services {
  const { log } = options
  cleanup.use(acquireDirectoryLock(directory.root))
  const storage = cleanup.use(openDatabase(directory.database, { log, checkInBackground: true }))
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
  if (limits.lowered !== undefined) log(limits.lowered)
  const metrics = new Metrics()
  const overload = new OverloadLog(metrics, log)
  const admission = new Admission({
    limits: limits.admission,
    refused: (reason, messageType, result) => {
      metrics.answered(messageType, result)
      overload.write('message', reason)
    },
  })
  const tls = readTls(directory)
  return { storage, peers, hsm, adopter, administration, limits, metrics, overload, admission, tls }
}

function createBackendInterfaces({ biPaths = [], log }: ServeOptions, services: Services): Listener {
  const { storage, hsm, peers, metrics, limits, overload, admission, tls } = services
  const refusals = new RefusalLog(log)
  const receiptCommitted = (receipt: Buffer): void => hsm.progress.committed(receipt)
  const dependencies = { joins: storage.joins, hsm: hsm.client, receiptCommitted, now: Date.now }
  const handle = createMessageHandler({
    answerJoin: createAnswerJoin(dependencies),
    releaseAppSKey: createReleaseAppSKey(dependencies),
    metrics,
    refused: (refusal) => refusals.write(refusal),
  })
  return createListener({
    ...{ tls, peers, handle: admission.guard(handle), paths: biPaths },
    limits: limits.backendInterfaces,
    failed: (error) => log(`a message could not be answered: ${messageOf(error)}`),
    refused: (reason) => overload.write('connection', reason),
  })
}

function createApi({ log }: ServeOptions, services: Services): ManagementApi {
  const { storage, hsm, adopter, administration, metrics, limits, overload, tls } = services
  const readiness = () => {
    const reasons: string[] = []
    if (hsm.client.state !== 'ready') reasons.push(`HSM: ${hsm.client.state}`)
    if (!adopter.allSettled) reasons.push('orders are waiting to be adopted')
    if (storage.failure !== undefined) reasons.push(`database: ${storage.failure.code}`)
    return { ready: reasons.length === 0, reasons }
  }
  return createManagementApi({
    ...{ tls, administration, apiKeys: new ApiKeys(storage.administration), readiness, metrics },
    limits: limits.managementApi,
    failed: (error) => log(`a request to the management API failed: ${messageOf(error)}`),
    refused: (reason) => overload.write('connection', reason),
  })
}

function readTls(directory: DataDirectory): { cert: string; key: string } {
  return { cert: readFileSync(directory.tlsCertificate, 'utf8'), key: readFileSync(directory.tlsKey, 'utf8') }
}
