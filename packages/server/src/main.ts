import { DIALECT_NAMES, dialectOf } from '@mortise/backend-interfaces'
import {
  dataDirectory,
  type DataDirectory,
  routeKeyFile,
  routesWithKey,
  type ServeOptions,
  writeServerFile,
} from './config/index.ts'
import { type ConnectedHsm, connectHsm } from './connect-hsm.ts'
import {
  Admission,
  answerLater,
  createListener,
  createMessageHandler,
  DeferredAnswers,
  type Listener,
  type MessageHandler,
  PostAnswers,
} from './http/backend-interfaces/index.ts'
import { publicNames } from './http/certificates-names.ts'
import { shownCertificates } from './http/certificates-own.ts'
import { WatchedCertificate } from './http/certificates-watch.ts'
import { serverGauges } from './http/gauges.ts'
import { type ServerLimits, serverLimits } from './http/limits.ts'
import { createManagementApi, type ManagementApi } from './http/management-api/index.ts'
import { Metrics } from './http/metrics.ts'
import { OverloadLog } from './http/overload-log.ts'
import { RefusalLog } from './http/refusal-log.ts'
import { Agreements, ApiKeys, PeerDirectory } from './identity/index.ts'
import { createAnswerJoin, createFindHomeNetwork, createReleaseAppSKey } from './join/index.ts'
import { type Administration, LocalAdministration, OrderAdopter, type OwnCertificates } from './kms/index.ts'
import { acquireDirectoryLock } from './lock/index.ts'
import { messageOf } from './message-of.ts'
import { DirectoryReload } from './reload-directory.ts'
import { createForward, RouteTable, tellLeftKeys } from './routing/index.ts'
import { openDatabase, type Storage } from './storage/index.ts'

/** Where network servers of the known kinds post to, whatever their operators configure. */
const DIALECT_PATHS = DIALECT_NAMES.flatMap((name) => dialectOf(name).paths)

/** A command that finds no server has the directory for a moment; another server has it for good. */
const LOCK_WAIT_MS = 3000

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
  readonly agreements: Agreements
  readonly routes: RouteTable
  readonly hsm: ConnectedHsm
  readonly adopter: OrderAdopter
  readonly administration: Administration
  readonly limits: ServerLimits
  readonly metrics: Metrics
  readonly overload: OverloadLog
  readonly admission: Admission
  readonly certificates: ListenerCertificates
  readonly ownCertificates: OwnCertificates
}

/** The same one, unless the Backend Interfaces have one of their own. */
interface ListenerCertificates {
  readonly backendInterfaces: WatchedCertificate
  readonly managementApi: WatchedCertificate
}

/**
 * Starts the server: the one place where things are constructed, and where they are disposed.
 * @throws StorageError when the directory is locked or the database cannot be trusted; CertificateError and
 *   SecretFileError when a certificate cannot be served
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const directory = dataDirectory(options.dataDirectory)
  await using cleanup = new AsyncDisposableStack()
  const services = startServices(options, directory, cleanup)
  const listener = createBackendInterfaces(options, directory, services, cleanup)
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
  cleanup.use(acquireDirectoryLock(directory.root, LOCK_WAIT_MS))
  const certificates = openCertificates(options, directory, cleanup)
  const ownCertificates = shownCertificates(certificates, directory.caCertificate)
  const storage = cleanup.use(openDatabase(directory.database, { log, checkInBackground: true }))
  const peers = new PeerDirectory(storage.administration)
  const agreements = new Agreements(storage.administration)
  const keyFile = (routeId: string): string => routeKeyFile(directory, routeId)
  const routes = cleanup.use(new RouteTable({ storage: storage.administration, keyFile, log }))
  tellLeftKeys({ storage: storage.administration, routeIds: () => routesWithKey(directory), keyFile, log })
  const reload = cleanup.use(new DirectoryReload({ peers, agreements, routes, log }))
  const hsm = cleanup.adopt(connectHsm(options, directory, storage), (connected) => connected.close())
  const adopter = cleanup.use(
    new OrderAdopter({
      storage: storage.administration,
      hsm: hsm.client,
      receiptCommitted: (receipt) => hsm.progress.committed(receipt),
      adopted: (changes) => reload.adopted(changes),
    }),
  )
  hsm.onReady(() => adopter.adoptWaiting())
  const administration = new LocalAdministration({
    storage: storage.administration,
    hsm: hsm.client,
    adopter,
    databaseFailure: () => storage.failure?.code,
    ownCertificates,
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
  return {
    ...{ storage, peers, agreements, routes, hsm, adopter, administration, limits, metrics, overload, admission },
    ...{ certificates, ownCertificates },
  }
}

function createBackendInterfaces(
  options: ServeOptions,
  directory: DataDirectory,
  services: Services,
  cleanup: AsyncDisposableStack,
): Listener {
  const { biPaths = [], log } = options
  const { peers, limits, overload, admission, certificates } = services
  const handle = createHandler(options, services)
  const deferred = deferAnswers(options, directory, services, handle, cleanup)
  const { tls } = certificates.backendInterfaces
  const listener = createListener({
    ...{ tls, peers, handle: admission.guard(answerLater(handle, deferred)) },
    paths: [...biPaths, ...DIALECT_PATHS],
    limits: limits.backendInterfaces,
    failed: (error) => log(`a message could not be answered: ${messageOf(error)}`),
    refused: (reason) => overload.write('connection', reason),
  })
  certificates.backendInterfaces.onChange((changed) => listener.exchangeCertificate(changed))
  return listener
}

/** Answers messages of the Backend Interfaces. */
function createHandler({ log }: ServeOptions, services: Services): MessageHandler {
  const { storage, hsm, peers, agreements, routes, metrics } = services
  const installation = storage.administration.organisationId().toString('hex')
  const refusals = new RefusalLog(log)
  const receiptCommitted = (receipt: Buffer): void => hsm.progress.committed(receipt)
  const dependencies = { joins: storage.joins, hsm: hsm.client, receiptCommitted, now: Date.now }
  return createMessageHandler({
    answerJoin: createAnswerJoin(dependencies),
    releaseAppSKey: createReleaseAppSKey(dependencies),
    findHomeNetwork: createFindHomeNetwork({
      joins: storage.joins,
      agreements,
      nsIdOf: (netId) => peers.nsIdOf(netId),
    }),
    forward: createForward({ routes, installation, metrics }),
    metrics,
    refused: (refusal) => refusals.write(refusal),
  })
}

/** Answers that are posted to peers which take them so. It ends after the listener, and before what it needs. */
function deferAnswers(
  { log }: ServeOptions,
  directory: DataDirectory,
  { storage, hsm, peers, metrics, certificates }: Services,
  handle: MessageHandler,
  cleanup: AsyncDisposableStack,
): DeferredAnswers {
  const { backendInterfaces } = certificates
  const { caCertificate: caFile } = directory
  const poster = cleanup.use(new PostAnswers({ tls: () => backendInterfaces.tls, caFile }))
  const deferred = cleanup.use(
    new DeferredAnswers({
      requests: storage.deferred,
      handle,
      networkServer: (peerId) => peers.networkServer(peerId),
      post: (peer, body) => poster.post(peer, body),
      settled: (outcome) => metrics.deferred(outcome),
      log,
    }),
  )
  hsm.onReady(() => {
    // A store that was rolled back refuses every join, and these would be refused for good.
    if (hsm.client.state === 'ready') deferred.resume()
    return Promise.resolve()
  })
  return deferred
}

function createApi({ log }: ServeOptions, services: Services): ManagementApi {
  const { storage, hsm, adopter, administration, metrics, limits, overload, certificates } = services
  const readiness = () => {
    const reasons: string[] = []
    if (hsm.client.state !== 'ready') reasons.push(`HSM: ${hsm.client.state}`)
    if (!adopter.allSettled) reasons.push('orders are waiting to be adopted')
    if (storage.failure !== undefined) reasons.push(`database: ${storage.failure.code}`)
    return { ready: reasons.length === 0, reasons }
  }
  const { tls } = certificates.managementApi
  const api = createManagementApi({
    ...{ tls, administration, apiKeys: new ApiKeys(storage.administration), readiness, metrics },
    limits: limits.managementApi,
    failed: (error) => log(`a request to the management API failed: ${messageOf(error)}`),
    refused: (reason) => overload.write('connection', reason),
  })
  certificates.managementApi.onChange((changed) => api.exchangeCertificate(changed))
  return api
}

function openCertificates(
  { biTls, log }: ServeOptions,
  { tlsCertificate, tlsKey }: DataDirectory,
  cleanup: AsyncDisposableStack,
): ListenerCertificates {
  const installation = { certificate: tlsCertificate, key: tlsKey }
  // Commands on this machine ask for the server by that name.
  const managementApi = cleanup.use(new WatchedCertificate(installation, { log, names: ['localhost'] }))
  if (biTls === undefined) return { backendInterfaces: managementApi, managementApi }
  const names = publicNames(managementApi.certificate)
  return { backendInterfaces: cleanup.use(new WatchedCertificate(biTls, { log, names })), managementApi }
}
