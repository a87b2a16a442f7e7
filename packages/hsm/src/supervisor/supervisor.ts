import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { encodeFrame, FRAME } from '../contract/frames.ts'
import { encodeRefusal } from '../contract/session.ts'
import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import { signerId } from '../orders/sign-order.ts'
import {
  type FromWorker,
  type OrderAnswer,
  type OrphanedChain,
  reviveRecordChange,
  type SharedState,
  toBuffer,
  type WorkerStart,
} from '../worker/messages.ts'
import { CustodianConnection } from './custodian-connection.ts'
import { acknowledgeOrder, claimOrder, commitOrder } from './order-book.ts'
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
const RESTART_DELAY_MS = 100
const MAX_PATH_BYTES = 107
const STOP_TIMEOUT_MS = 2000

/** What exists only while the store is open. */
interface Unsealed {
  readonly store: SealedStore
  readonly pin: Buffer | undefined
  readonly bootEpoch: number
}

/** Opens the store, keeps the workers alive, and writes what orders change. It does no operation itself. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #backend: 'soft' | 'pkcs11'
  readonly #workerCount: number
  readonly #workers = new Set<WorkerProcess>()
  readonly #orphans = new Map<string, OrphanedChain>()
  readonly #servers: Server[] = []
  #unsealed: Unsealed | undefined
  #nextWorker = 1
  #revision = 0
  #stopping = false
  /** The worker whose order is being carried out, and those that wait: one order at a time. */
  #orderOf: WorkerProcess | undefined
  readonly #claims: (() => void)[] = []

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#backend = SealedStore.backendKind(options.directory)
    this.#workerCount = options.workers ?? Math.min(MAX_DEFAULT_WORKERS, Math.max(1, availableParallelism() - 1))
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

  /** Listens on both sockets; sealed until {@link unseal}. */
  async listen(): Promise<void> {
    await this.#listen(this.#options.serverSocket, 0o660, { pauseOnConnect: true }, (socket) => {
      this.#assign(socket)
    })
    await this.#listen(this.#options.custodianSocket, 0o600, {}, (socket) => {
      new CustodianConnection(socket, this)
    })
  }

  /**
   * Opens the store with the passphrase or PIN, counts the boot in its epoch, and starts the workers.
   * @throws HsmError wrong_passphrase, store_damaged, token_failed
   */
  async unseal(secret: Buffer): Promise<void> {
    if (this.#unsealed !== undefined) return
    const store = SealedStore.open(this.#options.directory, secret)
    // A chain of receipts is named by the epoch of its boot: it must never come twice, so it is durable first.
    store.write({ ...store.state, epoch: store.state.epoch + 1 })
    const pin = this.#backend === 'pkcs11' ? secret : undefined
    const unsealed = { store, pin, bootEpoch: store.state.epoch }
    this.#unsealed = unsealed
    try {
      await Promise.all(Array.from({ length: this.#workerCount }, () => this.#startWorker(unsealed)))
    } catch (error) {
      this.#unsealed = undefined
      for (const worker of this.#workers) worker.kill()
      throw error
    }
    this.#options.log(`unsealed: HSM ${store.state.hsmId.toString('hex')}, ${this.#workerCount} worker(s)`)
  }

  /** Lets the workers sign their closing heads, then ends. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const server of this.#servers) server.close()
    for (const worker of this.#workers) worker.tell({ type: 'stop' })
    const deadline = Date.now() + STOP_TIMEOUT_MS
    while (this.#workers.size > 0 && Date.now() < deadline) await delay(20)
    for (const worker of this.#workers) worker.kill()
    rmSync(this.#options.serverSocket, { force: true })
    rmSync(this.#options.custodianSocket, { force: true })
  }

  async #startWorker(unsealed: Unsealed): Promise<void> {
    const worker = new WorkerProcess(this.#workerStart(unsealed), {
      onMessage: (from, message) => {
        this.#receive(from, message)
      },
      onOrphanAcknowledged: (acknowledged) => this.#orphans.delete(chainName(acknowledged)),
      onClosed: (closed) => {
        this.#workerClosed(closed)
      },
    })
    this.#workers.add(worker)
    await worker.ready()
    if (this.#orphans.size > 0) worker.tell({ type: 'orphans', chains: [...this.#orphans.values()] })
  }

  #workerStart({ store, pin, bootEpoch }: Unsealed): WorkerStart {
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
      worker: this.#nextWorker++,
      workers: this.#workerCount,
      objectLimit: backend.kind === 'pkcs11' ? PKCS11_OBJECT_LIMIT : Number.MAX_SAFE_INTEGER,
      state: sharedState(store, store.state.floors),
    }
  }

  /** Hands a connection of the server to the worker with the fewest. */
  #assign(socket: Socket): void {
    const ready = [...this.#workers].filter((worker) => !worker.closed && !worker.retiring)
    const worker = ready.sort((a, b) => a.connections - b.connections)[0]
    if (worker === undefined || this.#unsealed === undefined) {
      const code = this.#unsealed === undefined ? 'sealed' : 'busy'
      socket.on('error', () => socket.destroy())
      socket.end(encodeFrame(FRAME.refused, 0, encodeRefusal(new HsmError(code))))
      return
    }
    worker.connect(socket)
  }

  #workerClosed(worker: WorkerProcess): void {
    this.#workers.delete(worker)
    if (this.#orderOf === worker) this.#finishOrder()
    const chain = worker.orphanedChain()
    this.#orphans.set(chainName(chain), chain)
    if (this.#stopping || this.#unsealed === undefined) return
    // The replacement of a retiring worker is already there; it closes the chain of the other.
    const heir = [...this.#workers].find((other) => !other.retiring)
    heir?.tell({ type: 'orphans', chains: [chain] })
    if (!worker.retiring) void this.#replace()
  }

  async #replace(): Promise<void> {
    const unsealed = this.#unsealed
    while (unsealed !== undefined && !this.#stopping && this.#activeWorkers() < this.#workerCount) {
      try {
        await this.#startWorker(unsealed)
      } catch (error) {
        this.#options.log(`a worker could not start: ${error instanceof Error ? error.message : 'unknown'}`)
        await delay(RESTART_DELAY_MS)
      }
    }
  }

  #activeWorkers(): number {
    return [...this.#workers].filter((worker) => !worker.retiring).length
  }

  #receive(worker: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case 'order-claim':
        this.#queueClaim(worker, message.id, message.claim)
        return
      case 'order-commit':
        void this.#commit(worker, message.id, message.commit)
        return
      case 'order-abandon':
        if (this.#orderOf === worker) this.#finishOrder()
        return
      case 'order-acknowledged': {
        const store = this.#unsealed?.store
        store?.keepInMemory(acknowledgeOrder(store.state, message.signer, message.sequence))
        return
      }
      case 'retire':
        worker.retiring = true
        void this.#replace().then(() => {
          worker.tell({ type: 'stop' })
        })
        return
      case 'ready':
      case 'failed':
      case 'state-known':
        return
    }
  }

  #queueClaim(worker: WorkerProcess, id: number, claim: OrderClaim): void {
    const begin = (): void => {
      if (worker.closed) return this.#finishOrder()
      this.#orderOf = worker
      const answer = this.#answerOrder(() => ({ kind: 'claimed', claim: this.#claim(claim) }))
      worker.tell({ type: 'order-answer', id, answer })
      // Refused, or answered from memory: nothing will be committed.
      if (answer.kind !== 'claimed' || answer.claim.kind === 'repeated') this.#finishOrder()
    }
    if (this.#orderOf === undefined) begin()
    else this.#claims.push(begin)
  }

  #claim(claim: OrderClaim): ClaimAnswer {
    return claimOrder(this.#openStore().state, { ...claim, orderDigest: toBuffer(claim.orderDigest) })
  }

  async #commit(worker: WorkerProcess, id: number, commit: OrderCommit): Promise<void> {
    if (this.#orderOf !== worker) return
    const answer = this.#answerOrder(() => ({ kind: 'committed', epoch: this.#write(commit) }))
    if (answer.kind === 'committed') await this.#publish(commit.floors)
    worker.tell({ type: 'order-answer', id, answer })
    this.#finishOrder()
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

  #answerOrder(answer: () => OrderAnswer): OrderAnswer {
    try {
      return answer()
    } catch (error) {
      if (error instanceof HsmError) return { kind: 'refused', code: error.code, detail: error.detail }
      this.#options.log(`the sealed store could not be written: ${error instanceof Error ? error.message : 'unknown'}`)
      return { kind: 'refused', code: 'store_damaged', detail: 'the sealed store could not be written' }
    }
  }

  #finishOrder(): void {
    this.#orderOf = undefined
    this.#claims.shift()?.()
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

function chainName(chain: { bootEpoch: number; worker: number }): string {
  return `${chain.bootEpoch}/${chain.worker}`
}
