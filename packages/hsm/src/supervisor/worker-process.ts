import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { HsmError } from '../errors.ts'
import { boundaryEnvironment } from '../process/environment.ts'
import { protectionFlags } from '../process/protect.ts'
import type { ChainEnd } from '../receipts/chain-end.ts'
import { ReceiptPipeReader } from '../receipts/receipt-pipe.ts'
import { UnacknowledgedReceipts } from '../receipts/unacknowledged.ts'
import type { FromWorker, SharedState, ToWorker, WorkerStart } from '../worker/messages.ts'

const WORKER_MAIN = fileURLToPath(new URL('../worker/main.ts', import.meta.url))
const RECEIPT_PIPE_FD = 4
/** SIGUSR1 would open Node's inspector, which shows all memory to whoever may signal the process. */
const NO_INSPECTOR = '--disable-sigusr1'
/**
 * What a join leaves is garbage at once. V8 would let it pile up in ever larger steps, of 25 and 50 MiB, that look like
 * a leak; collected in small pieces it stays in the cache.
 */
const MEMORY_OPTIONS = ['--max-semi-space-size=4']
const PUBLISH_TIMEOUT_MS = 5000

export interface WorkerEvents {
  onMessage(worker: WorkerProcess, message: FromWorker): void
  onClosed(worker: WorkerProcess): void
}

/** A worker as the supervisor sees it. */
export class WorkerProcess {
  readonly number: number
  connections = 0
  retiring = false
  /** The server has the closing head: nothing of this chain is left to be handed over. */
  chainClosed = false
  #served = false
  readonly #child: ChildProcess
  readonly #start: WorkerStart
  readonly #receipts = new UnacknowledgedReceipts()
  /** Connections on their way to the worker, in order. */
  readonly #handedOver: Socket[] = []
  #closed = false
  #signal: string | undefined

  constructor(start: WorkerStart, events: WorkerEvents) {
    this.number = start.worker
    this.#start = start
    this.#child = spawn(process.execPath, [NO_INSPECTOR, ...MEMORY_OPTIONS, WORKER_MAIN, ...protectionFlags()], {
      env: boundaryEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
      serialization: 'advanced',
    })
    this.#child.on('error', () => {
      // A process that could not be started has no pid, and closes nothing.
      if (this.#child.pid === undefined) this.#end(events, undefined)
      else this.#child.kill('SIGKILL')
    })
    this.#child.on('message', (message: FromWorker) => {
      if (message.type === 'connection-opened') this.#handedOver.shift()
      events.onMessage(this, message)
    })
    // 'close' comes after the pipes have been read to their end: no receipt is missed.
    this.#child.on('close', (_code, signal) => {
      this.#end(events, signal ?? undefined)
    })
    if (this.#child.pid === undefined) return
    this.#readReceipts()
    this.#send(start)
  }

  /** Whether it ever came to serve: before, it can have made no receipt. */
  get served(): boolean {
    return this.#served
  }

  /** The signal that ended it, if one did. */
  get signal(): string | undefined {
    return this.#signal
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Resolves when the worker serves. @throws HsmError as the worker failed, token_failed, or busy when it was killed */
  async ready(): Promise<void> {
    const message = await new Promise<FromWorker | undefined>((resolve) => {
      this.#child.once('message', (message: FromWorker) => {
        resolve(message)
      })
      this.#child.once('close', () => {
        resolve(undefined)
      })
      this.#child.once('error', () => {
        resolve(undefined)
      })
    })
    if (message?.type === 'ready') {
      this.#served = true
      return
    }
    if (message?.type === 'failed') throw new HsmError(message.code, message.detail)
    // One that was killed has refused nothing: the store may be opened again.
    if (this.#signal !== undefined) throw new HsmError('busy', `a worker was ended by ${this.#signal} as it started`)
    throw new HsmError('token_failed', 'the worker ended before it was ready')
  }

  connect(socket: Socket): void {
    this.connections += 1
    this.#handedOver.push(socket)
    this.#child.send({ type: 'connection' } satisfies ToWorker, socket)
  }

  /** Resolves when the worker acts on the new state, or is gone: one that does not answer is killed. */
  async publish(revision: number, state: SharedState): Promise<void> {
    if (this.#closed) return
    await new Promise<void>((resolve) => {
      const onMessage = (message: FromWorker): void => {
        if (message.type === 'state-known' && message.revision === revision) done()
      }
      const timer = setTimeout(() => {
        this.kill()
      }, PUBLISH_TIMEOUT_MS)
      const done = (): void => {
        clearTimeout(timer)
        this.#child.off('message', onMessage)
        this.#child.off('close', done)
        resolve()
      }
      this.#child.on('message', onMessage)
      this.#child.once('close', done)
      this.#send({ type: 'state', revision, state })
    })
  }

  tell(message: ToWorker): void {
    this.#send(message)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** The chain of a worker that is gone, for another one to close. */
  chainEnd(): ChainEnd {
    const { bootEpoch, worker } = this.#start
    return { bootEpoch, worker, ...this.#receipts.end, receipts: this.#receipts.receipts }
  }

  #end(events: WorkerEvents, signal: string | undefined): void {
    this.#closed = true
    this.#signal = signal
    // It died before it took them: the client sees closed connections at once, and comes again.
    for (const socket of this.#handedOver) socket.destroy()
    events.onClosed(this)
  }

  #readReceipts(): void {
    const reader = new ReceiptPipeReader(
      (receipt) => {
        this.#receipts.add(receipt)
      },
      (sequence) => {
        this.#receipts.acknowledge(sequence)
      },
    )
    const pipe = this.#child.stdio[RECEIPT_PIPE_FD] as Readable
    pipe.on('data', (chunk: Buffer) => {
      reader.push(chunk)
    })
  }

  /** A channel that breaks under a dying worker is no error of its own: 'close' follows. */
  #send(message: ToWorker): void {
    if (!this.#closed && this.#child.connected) this.#child.send(message, () => undefined)
  }
}
