import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { encodeFrame, FRAME } from '../contract/frames.ts'
import { encodeRefusal } from '../contract/session.ts'
import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import { signerId } from '../orders/sign-order.ts'
import { type ChainEnd, chainKey } from '../receipts/chain-end.ts'
import {
  type FromWorker,
  reviveRecordChange,
  type SharedState,
  toBuffer,
  type WorkerStart,
} from '../worker/messages.ts'
import { CustodianConnection } from './custodian-connection.ts'
import { claimDirectory } from './directory-claim.ts'
import { acknowledgeOrder, claimOrder, commitOrder } from './order-book.ts'
import { OrderDesk } from './order-desk.ts'
import { OrphanedChains } from './orphaned-chains.ts'
import { SealedStore } from './sealed-store.ts'
import { WorkerProcess } from './worker-process.ts'

export interface SupervisorOptions {
  /** `DIR/hsm`: only this process reads it. */
  readonly directory: string
  /** Socket for the server, 0660. */
  readonly serverSocket: string
  /** Socket for custodians, 0600. */
  readonly custodianSocket: string
  readonly workers: number | undefined
  readonly log: (line: string) => void
}

export interface SupervisorStatus {
  readonly state: 'sealed' | 'unsealed'
  readonly backend: 'soft' | 'pkcs11'
  readonly hsmId?: string
  readonly epoch?: number
  readonly workers?: number
}

/** Objects (about 245 leaked bytes each) after which a worker on a PKCS#11 token is replaced: some 75 MB. */
const PKCS11_OBJECT_LIMIT = 300_000
const MAX_DEFAULT_WORKERS = 4
const FIRST_RESTART_DELAY_MS = 100
const MAX_RESTART_DELAY_MS = 5000
const MAX_WORKERS = 64
/** The server needs one for each worker; the rest is for a second server that takes over. */
const MAX_CONNECTIONS_PER_WORKER = 16
const MAX_PATH_BYTES = 107
const STOP_TIMEOUT_MS = 2000
/** Beyond what workers take: connections that are only told to come again. */
const SPARE_CONNECTIONS = 64
const REFUSED_LINGER_MS = 1000

/** What exists only while the store is open. */
interface Unsealed {
  readonly store: SealedStore
  readonly pin: Buffer | undefined
  /** Names the receipt chains of this boot: milliseconds since 1970, made to rise. */
  readonly bootEpoch: number
}

/** Opens the store, keeps the workers alive, and writes what orders change. It does no operation itself. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #backend: 'soft' | 'pkcs11'
  readonly #workerCount: number
  readonly #workers = new Set<WorkerProcess>()
  readonly #orphans: OrphanedChains
  readonly #servers: Server[] = []
  readonly #desk: OrderDesk
  /** Worker numbers that are in the store as given, but whose worker never came to serve. */
  readonly #spareNumbers: number[] = []
  #claim: Disposable | undefined
  #unsealed: Unsealed | undefined
  #unsealing: Promise<void> | undefined
  #filling: Promise<void> | undefined
  #revision = 0
  #stopping = false

  /** @throws HsmError store_damaged, token_failed */
  constructor(options: SupervisorOptions) {
    const { workers = Math.min(MAX_DEFAULT_WORKERS, Math.max(1, availableParallelism() - 1)) } = options
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
      throw new HsmError('token_failed', `the number of workers must be 1 to ${MAX_WORKERS}`)
    this.#options = options
    this.#orphans = new OrphanedChains(options.log)
    this.#backend = SealedStore.backendKind(options.directory)
    this.#workerCount = workers
    this.#desk = new OrderDesk({
      claim: (claim) => this.#claimOrder(claim),
      write: (commit) => this.#write(commit),
      publish: (commit) => this.#publish(commit.floors),
      failed: (error) => {
        options.log(`the sealed store could not be written: ${messageOf(error)}`)
      },
    })
  }

  get status(): SupervisorStatus {
    if (this.#unsealed === undefined) return { state: 'sealed', backend: this.#backend }
    const { hsmId, epoch } = this.#unsealed.store.state
    return {
      state: 'unsealed',
      backend: this.#backend,
      hsmId: hsmId.toString('hex'),
      epoch,
      workers: this.#workers.size,
    }
  }

  /** Listens on both sockets; sealed until {@link unseal}. @throws HsmError busy */
  async listen(): Promise<void> {
    this.#claim = claimDirectory(this.#options.directory)
    await this.#listen(this.#options.serverSocket, 0o660, { pauseOnConnect: true }, (socket) => {
      this.#assign(socket)
    })
    await this.#listen(this.#options.custodianSocket, 0o600, {}, (socket) => {
      new CustodianConnection(socket, this)
    })
  }

  /**
   * Opens the store with the passphrase or PIN, names the boot, and starts the workers, which test the storage keys.
   * @param secret wiped as soon as it is not needed any more
   * @throws HsmError wrong_passphrase, store_damaged, token_failed
   */
  async unseal(secret: Buffer): Promise<void> {
    if (this.#unsealed !== undefined) return this.#unsealing
    this.#unsealing = this.#open(secret)
    return this.#unsealing
  }

  /** Lets the workers sign their closing heads, then ends. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const server of this.#servers) server.close()
    for (const worker of this.#workers) worker.tell({ type: 'stop' })
    const deadline = performance.now() + STOP_TIMEOUT_MS
    while (this.#workers.size > 0 && performance.now() < deadline) await delay(20)
    for (const worker of this.#workers) worker.kill()
    while (this.#workers.size > 0) await delay(5)
    if (this.#unsealed !== undefined) this.#orphans.keep(this.#unsealed.store)
    // Nobody else can have listened there while the directory was claimed.
    if (this.#claim === undefined) return
    rmSync(this.#options.serverSocket, { force: true })
    rmSync(this.#options.custodianSocket, { force: true })
    this.#claim[Symbol.dispose]()
  }

  async #open(secret: Buffer): Promise<void> {
    const store = this.#openWith(secret)
    this.#orphans.read(store)
    // A chain of receipts is named by its boot, which must never come twice: above the last, and above those of a life
    // of the store that a roll-back has made it forget. The epoch stays: restarts are no way past the roll-back guard.
    const bootEpoch = Math.max(store.state.lastBoot + 1, Date.now())
    store.write({ ...store.state, lastBoot: bootEpoch })
    const pin = this.#backend === 'pkcs11' ? secret : undefined
    const unsealed = { store, pin, bootEpoch }
    this.#unsealed = unsealed
    await this.#startFirst(unsealed)
    this.#options.log(`unsealed: HSM ${store.state.hsmId.toString('hex')}, ${this.#workerCount} worker(s)`)
  }

  /**
   * Starts all workers. One that serves shows that the secret, the store and the token are right: the others are started
   * again until they serve too. SoftHSM2 empties a file of the token for a moment at each login, and a worker that looks
   * just then finds no token.
   */
  async #startFirst(unsealed: Unsealed): Promise<void> {
    const starts = Array.from({ length: this.#workerCount }, () => this.#startWorker(unsealed))
    const outcomes = await Promise.allSettled(starts)
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected')
    if (failures.length === outcomes.length) {
      this.#unsealed = undefined
      for (const worker of this.#workers) worker.kill()
      await starts[0]
    }
    for (const { reason } of failures) this.#options.log(`a worker could not start: ${messageOf(reason)}`)
  }

  #openWith(secret: Buffer): SealedStore {
    try {
      return SealedStore.open(this.#options.directory, secret)
    } finally {
      if (this.#backend === 'soft') secret.fill(0)
    }
  }

  async #startWorker(unsealed: Unsealed): Promise<void> {
    const worker = new WorkerProcess(this.#workerStart(unsealed), {
      onMessage: (from, message) => {
        this.#receive(from, message)
      },
      onClosed: (closed) => {
        this.#workerClosed(closed)
      },
    })
    this.#workers.add(worker)
    await worker.ready()
    const chains = this.#orphans.list()
    if (chains.length > 0) worker.tell({ type: 'orphans', chains })
  }

  #workerStart(unsealed: Unsealed): WorkerStart {
    const worker = this.#takeNumber(unsealed.store)
    const { store, pin, bootEpoch } = unsealed
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
      workers: this.#workerCount,
      objectLimit: backend.kind === 'pkcs11' ? PKCS11_OBJECT_LIMIT : Number.MAX_SAFE_INTEGER,
      state: sharedState(store, store.state.floors),
    }
  }

  /** The next number of all, durable before it is used. */
  #takeNumber(store: SealedStore): number {
    const spare = this.#spareNumbers.shift()
    if (spare !== undefined) return spare
    const { lastWorker } = store.state
    store.write({ ...store.state, lastWorker: lastWorker + 1 })
    return lastWorker + 1
  }

  /** Hands a connection of the server to the worker with the fewest. */
  #assign(socket: Socket): void {
    const ready = [...this.#workers].filter(
      (worker) => !worker.closed && !worker.retiring && worker.connections < MAX_CONNECTIONS_PER_WORKER,
    )
    const worker = ready.sort((a, b) => a.connections - b.connections)[0]
    if (worker === undefined || this.#unsealed === undefined) {
      const code = this.#unsealed === undefined ? 'sealed' : 'busy'
      socket.on('error', () => socket.destroy())
      socket.end(encodeFrame(FRAME.refused, 0, encodeRefusal(new HsmError(code))))
      // Reads on, so that the end of the other side is seen, but not for ever.
      socket.resume()
      socket.setTimeout(REFUSED_LINGER_MS, () => socket.destroy())
      return
    }
    worker.connect(socket)
  }

  #workerClosed(worker: WorkerProcess): void {
    this.#workers.delete(worker)
    this.#desk.abandoned(worker)
    if (!worker.served) this.#spareNumbers.push(worker.number)
    else if (!worker.chainClosed) this.#orphan(worker.chainEnd())
    if (this.#stopping || this.#unsealed === undefined) return
    if (worker.signal !== undefined)
      this.#options.log(`worker ${worker.number} ended by ${worker.signal}; another one takes its place`)
    if (!worker.retiring) void this.#fill()
  }

  /** Another worker closes the chain; a new one does so when it starts. */
  #orphan(chain: ChainEnd): void {
    this.#orphans.add(chain)
    if (this.#stopping) return
    const heir = [...this.#workers].find((other) => !other.retiring && other.served)
    heir?.tell({ type: 'orphans', chains: [chain] })
  }

  /** Starts workers until there are as many as there should be. One such loop runs at a time. */
  async #fill(): Promise<void> {
    while (this.#missesWorkers()) {
      this.#filling ??= this.#startMissing().finally(() => {
        this.#filling = undefined
      })
      await this.#filling
    }
  }

  async #startMissing(): Promise<void> {
    let delayMs = FIRST_RESTART_DELAY_MS
    while (this.#unsealed !== undefined && this.#missesWorkers()) {
      try {
        await this.#startWorker(this.#unsealed)
      } catch (error) {
        this.#options.log(`a worker could not start: ${messageOf(error)}`)
        await delay(delayMs)
        delayMs = Math.min(2 * delayMs, MAX_RESTART_DELAY_MS)
      }
    }
  }

  #missesWorkers(): boolean {
    if (this.#unsealed === undefined || this.#stopping) return false
    return [...this.#workers].filter((worker) => !worker.retiring).length < this.#workerCount
  }

  #receive(worker: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case 'order-claim':
        return this.#desk.claim(worker, message.id, message.claim)
      case 'order-commit':
        void this.#desk.commit(worker, message.id, message.commit)
        return
      case 'order-abandon':
        return this.#desk.abandoned(worker)
      case 'order-acknowledged': {
        const store = this.#unsealed?.store
        store?.keepInMemory(acknowledgeOrder(store.state, message.signer, message.sequence))
        return
      }
      case 'acknowledged':
        for (const other of this.#workers)
          if (other !== worker) other.tell({ type: 'acknowledged', acknowledged: message.acknowledged })
        return
      case 'chain-closed':
        return this.#chainClosed(worker, message)
      case 'connection-closed':
        worker.connections -= 1
        return
      case 'retire':
        void this.#retire([worker])
        return
      case 'connection-opened':
      case 'ready':
      case 'failed':
      case 'state-known':
        return
    }
  }

  #chainClosed(worker: WorkerProcess, chain: { bootEpoch: number; worker: number }): void {
    if (chainKey(chain) === chainKey(worker.chainEnd())) worker.chainClosed = true
    if (this.#orphans.delivered(chain)) this.#unsealed?.store.writeReceipts(undefined)
  }

  /** Replaces workers: the new ones serve before the old ones end. */
  async #retire(workers: readonly WorkerProcess[]): Promise<void> {
    for (const worker of workers) worker.retiring = true
    await this.#fill()
    for (const worker of workers) worker.tell({ type: 'stop' })
  }

  #claimOrder(claim: OrderClaim): ClaimAnswer {
    return claimOrder(this.#openStore().state, { ...claim, orderDigest: toBuffer(claim.orderDigest) })
  }

  #write(commit: OrderCommit): number {
    const store = this.#openStore()
    const { orderDigest, receipt, changes } = commit
    const revived = {
      orderDigest: toBuffer(orderDigest),
      receipt: toBuffer(receipt),
      changes: changes.map(reviveRecordChange),
    }
    store.write(commitOrder(store.state, { ...commit, ...revived }))
    return store.state.epoch
  }

  /** No worker accepts a replaced record any more when this resolves. */
  async #publish(floors: ReadonlyMap<string, number>): Promise<void> {
    const revision = ++this.#revision
    const state = sharedState(this.#openStore(), floors)
    await Promise.all([...this.#workers].map((worker) => worker.publish(revision, state)))
  }

  #openStore(): SealedStore {
    if (this.#unsealed === undefined) throw new HsmError('sealed')
    return this.#unsealed.store
  }

  async #listen(
    path: string,
    mode: number,
    options: { pauseOnConnect?: boolean },
    onConnection: (socket: Socket) => void,
  ): Promise<void> {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new HsmError('token_failed', `socket path longer than ${MAX_PATH_BYTES} bytes: ${path}`)
    rmSync(path, { force: true })
    const server = createServer(options, onConnection)
    server.maxConnections = this.#workerCount * MAX_CONNECTIONS_PER_WORKER + SPARE_CONNECTIONS
    this.#servers.push(server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
    chmodSync(path, mode)
  }
}

function sharedState(store: SealedStore, floors: ReadonlyMap<string, number>): SharedState {
  const { epoch, lastSequence, operatorPublicKey } = store.state
  const operator = signerId(operatorPublicKey).toString('hex')
  return { epoch, lastSequence: lastSequence.get(operator) ?? 0, floors }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
