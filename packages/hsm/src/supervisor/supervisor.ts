import { rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import type { ChainEnd, ChainName } from '../receipts/chain-end.ts'
import { type FromWorker, reviveRecordChange, toBuffer } from '../worker/messages.ts'
import { CustodianConnection } from './custodian-connection.ts'
import { claimDirectory } from './directory-claim.ts'
import { nameBoot, numberWorker } from './numbers.ts'
import { acknowledgeOrder, claimOrder, commitOrder } from './order-book.ts'
import { OrderDesk } from './order-desk.ts'
import { OrphanedChains } from './orphaned-chains.ts'
import { SealedStore } from './sealed-store.ts'
import { listenOnUnixSocket, refuseConnection } from './unix-listener.ts'
import type { WorkerProcess } from './worker-process.ts'
import { sharedState, type Unsealed, workerStart } from './worker-start.ts'
import { MAX_CONNECTIONS_PER_WORKER, Workforce } from './workforce.ts'

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

const MAX_DEFAULT_WORKERS = 4
const MAX_WORKERS = 64
/** Beyond what workers take: connections that are only told to come again. */
const SPARE_CONNECTIONS = 64

/** Opens the store, and writes what orders change. It does no operation itself. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #backend: 'soft' | 'pkcs11'
  readonly #workforce: Workforce
  readonly #orphans: OrphanedChains
  readonly #servers: Server[] = []
  readonly #desk: OrderDesk
  #claim: Disposable | undefined
  /** Exists only while the store is open. */
  #unsealed: Unsealed | undefined
  #unsealing: Promise<void> | undefined

  /** @throws HsmError store_damaged, token_failed */
  constructor(options: SupervisorOptions) {
    const { workers = Math.min(MAX_DEFAULT_WORKERS, Math.max(1, availableParallelism() - 1)) } = options
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
      throw new HsmError('token_failed', `the number of workers must be 1 to ${MAX_WORKERS}`)
    this.#options = options
    this.#orphans = new OrphanedChains(options.log)
    this.#backend = SealedStore.backendKind(options.directory)
    this.#workforce = this.#employ(workers)
    this.#desk = new OrderDesk({
      claim: (claim) => this.#claimOrder(claim),
      write: (commit) => this.#write(commit),
      // No worker accepts a replaced record any more when this resolves.
      publish: (commit) => this.#workforce.publish(sharedState(this.#open.store, commit.floors)),
      failed: (error) => {
        options.log(`the sealed store could not be written: ${error instanceof Error ? error.message : 'unknown'}`)
      },
    })
  }

  get status(): SupervisorStatus {
    if (this.#unsealed === undefined) return { state: 'sealed', backend: this.#backend }
    const { hsmId, epoch } = this.#unsealed.store.state
    const workers = this.#workforce.size
    return { state: 'unsealed', backend: this.#backend, hsmId: hsmId.toString('hex'), epoch, workers }
  }

  /** Listens on both sockets; sealed until {@link unseal}. @throws HsmError busy */
  async listen(): Promise<void> {
    const { directory, serverSocket, custodianSocket } = this.#options
    this.#claim = claimDirectory(directory)
    const maxConnections = this.#workforce.count * MAX_CONNECTIONS_PER_WORKER + SPARE_CONNECTIONS
    const listen = async (path: string, mode: number, pauseOnConnect: boolean, onConnection: (to: Socket) => void) => {
      this.#servers.push(await listenOnUnixSocket({ path, mode, maxConnections, pauseOnConnect, onConnection }))
    }
    await listen(serverSocket, 0o660, true, (socket) => {
      this.#assign(socket)
    })
    await listen(custodianSocket, 0o600, false, (socket) => {
      new CustodianConnection(socket, this)
    })
  }

  /**
   * Opens the store with the passphrase or PIN, names the boot, and starts the workers, which test the storage keys. With
   * a store that is open, or that another call is opening, it does and checks nothing: a PIN has few tries.
   * @param secret wiped as soon as it is not needed any more, also when it is refused or not looked at
   * @throws HsmError wrong_passphrase, store_damaged, token_failed
   */
  async unseal(secret: Buffer): Promise<void> {
    if (this.#unsealed === undefined) this.#unsealing = this.#openWith(secret)
    else secret.fill(0)
    return this.#unsealing
  }

  /** Lets the workers sign their closing heads, then ends. */
  async stop(): Promise<void> {
    for (const server of this.#servers) server.close()
    await this.#workforce.stop()
    if (this.#unsealed !== undefined) this.#orphans.keep(this.#unsealed.store)
    // Nobody else can have listened there while the directory was claimed.
    if (this.#claim === undefined) return
    rmSync(this.#options.serverSocket, { force: true })
    rmSync(this.#options.custodianSocket, { force: true })
    this.#claim[Symbol.dispose]()
  }

  async #openWith(secret: Buffer): Promise<void> {
    try {
      const store = SealedStore.open(this.#options.directory, secret)
      this.#orphans.read(store)
      const bootEpoch = nameBoot(store)
      this.#unsealed = { store, pin: this.#backend === 'pkcs11' ? secret : undefined, bootEpoch }
      // Workers are started with the PIN again and again; a passphrase has done its work.
      if (this.#backend === 'soft') secret.fill(0)
      await this.#workforce.start()
      this.#options.log(`unsealed: HSM ${store.state.hsmId.toString('hex')}, ${this.#workforce.count} worker(s)`)
    } catch (error) {
      this.#unsealed = undefined
      secret.fill(0)
      throw error
    }
  }

  #employ(workers: number): Workforce {
    return new Workforce(workers, {
      newNumber: () => numberWorker(this.#open.store),
      start: (number) => workerStart(this.#open, number, workers),
      orphans: () => this.#orphans.list(),
      onMessage: (worker, message) => {
        this.#receive(worker, message)
      },
      onGone: (worker, orphan) => {
        this.#desk.abandoned(worker)
        if (orphan !== undefined) this.#orphan(orphan)
      },
      log: this.#options.log,
    })
  }

  #assign(socket: Socket): void {
    if (this.#unsealed === undefined) refuseConnection(socket, 'sealed')
    else if (!this.#workforce.assign(socket)) refuseConnection(socket, 'busy')
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
      case 'chain-closed':
        return this.#chainClosed(message)
      default:
        // Answers, and what the workforce has seen to.
        return
    }
  }

  #orphan(chain: ChainEnd): void {
    this.#orphans.add(chain)
    this.#workforce.bequeath(chain)
  }

  #chainClosed(chain: ChainName): void {
    if (this.#orphans.delivered(chain)) this.#unsealed?.store.writeReceipts(undefined)
  }

  #claimOrder(claim: OrderClaim): ClaimAnswer {
    return claimOrder(this.#open.store.state, { ...claim, orderDigest: toBuffer(claim.orderDigest) })
  }

  #write(commit: OrderCommit): number {
    const { store } = this.#open
    const { orderDigest, receipt, changes } = commit
    const revived = {
      orderDigest: toBuffer(orderDigest),
      receipt: toBuffer(receipt),
      changes: changes.map(reviveRecordChange),
    }
    store.write(commitOrder(store.state, { ...commit, ...revived }))
    return store.state.epoch
  }

  get #open(): Unsealed {
    if (this.#unsealed === undefined) throw new HsmError('sealed')
    return this.#unsealed
  }
}
