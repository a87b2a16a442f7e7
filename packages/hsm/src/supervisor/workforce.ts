import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { HsmError } from '../errors.ts'
import { type ChainEnd, chainKey } from '../receipts/chain-end.ts'
import type { FromWorker, SharedState, ToWorker, WorkerStart } from '../worker/messages.ts'
import { WorkerProcess } from './worker-process.ts'

/** The server needs one for each worker; the rest is for a second server that takes over. */
export const MAX_CONNECTIONS_PER_WORKER = 16
const FIRST_RESTART_DELAY_MS = 100
const MAX_RESTART_DELAY_MS = 5000
const STOP_TIMEOUT_MS = 2000

/** What workers need of whoever has the store open. */
export interface WorkforcePort {
  /** A worker number that no worker had before, durable. */
  newNumber(): number
  /** What a worker with this number begins with. */
  start(number: number): WorkerStart
  /** Chains of receipts for a new worker to close. */
  orphans(): readonly ChainEnd[]
  /** What a worker says that is not about the workers themselves. */
  onMessage(worker: WorkerProcess, message: FromWorker): void
  /** A worker is gone; `orphan` is the chain that it has left open. */
  onGone(worker: WorkerProcess, orphan: ChainEnd | undefined): void
  log(line: string): void
}

/** Keeps so many workers serving: numbers them without gaps, starts, replaces and stops them. */
export class Workforce {
  readonly count: number
  readonly #port: WorkforcePort
  readonly #workers = new Set<WorkerProcess>()
  /** Numbers that are in the store as given, but whose worker never came to serve. */
  readonly #spareNumbers: number[] = []
  #filling: Promise<void> | undefined
  #revision = 0
  #running = false
  #stopped = false

  constructor(count: number, port: WorkforcePort) {
    this.count = count
    this.#port = port
  }

  get size(): number {
    return this.#workers.size
  }

  /**
   * Starts all workers. One that serves shows that the secret, the store and the token are right: the others are started
   * again until they serve too. SoftHSM2 empties a file of the token for a moment at each login, and a worker that looks
   * just then finds no token.
   * @throws HsmError as the first of them failed, when none serves; none is left then; busy after {@link stop}
   */
  async start(): Promise<void> {
    if (this.#stopped) throw new HsmError('busy', 'the HSM process is ending')
    this.#running = true
    const starts = Array.from({ length: this.count }, () => this.#startOne())
    const outcomes = await Promise.allSettled(starts)
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected')
    if (failures.length === outcomes.length) {
      this.#running = false
      for (const worker of this.#workers) worker.kill()
      await starts[0]
    }
    for (const { reason } of failures) this.#port.log(`a worker could not start: ${messageOf(reason)}`)
  }

  /** Hands a connection of the server to the worker with the fewest; false when none has room for it. */
  assign(socket: Socket): boolean {
    const [worker] = [...this.#workers]
      .filter(({ closed, retiring, connections }) => !closed && !retiring && connections < MAX_CONNECTIONS_PER_WORKER)
      .sort((a, b) => a.connections - b.connections)
    worker?.connect(socket)
    return worker !== undefined
  }

  /** Resolves when every worker acts on the new state; one that does not in time is killed. */
  async publish(state: SharedState): Promise<void> {
    const revision = ++this.#revision
    await Promise.all([...this.#workers].map((worker) => worker.publish(revision, state)))
  }

  /** Has a worker that serves close the chain of one that is gone; a new worker is told when it starts. */
  bequeath(chain: ChainEnd): void {
    if (!this.#running) return
    const heir = [...this.#workers].find(({ retiring, served }) => !retiring && served)
    heir?.tell({ type: 'orphans', chains: [chain] })
  }

  /** Lets the workers sign their closing heads, then ends them. None is started any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#running = false
    for (const worker of this.#workers) worker.tell({ type: 'stop' })
    const deadline = performance.now() + STOP_TIMEOUT_MS
    while (this.#workers.size > 0 && performance.now() < deadline) await delay(20)
    for (const worker of this.#workers) worker.kill()
    while (this.#workers.size > 0) await delay(5)
  }

  async #startOne(): Promise<void> {
    const number = this.#spareNumbers.shift() ?? this.#port.newNumber()
    const worker = new WorkerProcess(this.#port.start(number), {
      onMessage: (from, message) => {
        this.#receive(from, message)
      },
      onClosed: (closed) => {
        this.#closed(closed)
      },
    })
    this.#workers.add(worker)
    await worker.ready()
    const chains = this.#port.orphans()
    if (chains.length > 0) worker.tell({ type: 'orphans', chains })
  }

  #receive(worker: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case 'connection-closed':
        worker.connections -= 1
        return
      case 'retire':
        void this.#replace(worker)
        return
      case 'acknowledged':
        this.#tellOthers(worker, message)
        return
      case 'chain-closed':
        if (chainKey(message) === chainKey(worker.chainEnd())) worker.chainClosed = true
        return this.#port.onMessage(worker, message)
      default:
        this.#port.onMessage(worker, message)
    }
  }

  #tellOthers(worker: WorkerProcess, message: ToWorker): void {
    for (const other of this.#workers) if (other !== worker) other.tell(message)
  }

  /** A worn worker: the new one serves before it ends. */
  async #replace(worker: WorkerProcess): Promise<void> {
    worker.retiring = true
    await this.#fill()
    worker.tell({ type: 'stop' })
  }

  #closed(worker: WorkerProcess): void {
    const { number, served, chainClosed, signal, retiring } = worker
    this.#workers.delete(worker)
    if (!served) this.#spareNumbers.push(number)
    this.#port.onGone(worker, served && !chainClosed ? worker.chainEnd() : undefined)
    if (!this.#running) return
    if (signal !== undefined) this.#port.log(`worker ${number} ended by ${signal}; another one takes its place`)
    if (!retiring) void this.#fill()
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
    while (this.#missesWorkers()) {
      try {
        await this.#startOne()
      } catch (error) {
        this.#port.log(`a worker could not start: ${messageOf(error)}`)
        await delay(delayMs)
        delayMs = Math.min(2 * delayMs, MAX_RESTART_DELAY_MS)
      }
    }
  }

  #missesWorkers(): boolean {
    return this.#running && [...this.#workers].filter(({ retiring }) => !retiring).length < this.count
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
