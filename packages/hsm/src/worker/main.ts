import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Custody } from '../custody/custody.ts'
import { Floors } from '../custody/floors.ts'
import { KekCache } from '../custody/kek-cache.ts'
import { HsmError } from '../errors.ts'
import { ReceiptChain } from '../receipts/chain.ts'
import { ReceiptPipeWriter } from '../receipts/receipt-pipe.ts'
import { openToken } from '../token/open-token.ts'
import type { BackendSettings } from '../token/settings.ts'
import type { CheckValues, Token } from '../token/token.ts'
import { WorkerConnection, type WorkerContext } from './connection.ts'
import { type FromWorker, type SharedState, toBuffer, type ToWorker, type WorkerStart } from './messages.ts'
import { ReceiptCourier } from './receipt-courier.ts'
import { RemoteLedger } from './remote-ledger.ts'

/** A worker of the trust boundary: one token session, and the operations. Started by the supervisor, ends with it. */
const RECEIPT_PIPE_FD = 4
const HEAD_INTERVAL_MS = 1000
const CLOSING_TIMEOUT_MS = 1000
const LAST_WRITES_MS = 50

function send(message: FromWorker): void {
  process.send?.(message)
}

class Worker {
  readonly #connections = new Set<WorkerConnection>()
  readonly #context: WorkerContext
  readonly #token: Token
  readonly #floors: Floors
  readonly #courier: ReceiptCourier
  readonly #ledger = new RemoteLedger(send)
  readonly #start: WorkerStart
  #state: SharedState
  #retiring = false

  constructor(start: WorkerStart) {
    this.#start = start
    this.#state = start.state
    this.#token = openToken(reviveSettings(start.backend), start.pin && toBuffer(start.pin))
    this.#token.verifyCheckValues(reviveCheckValues(start.checkValues))
    this.#floors = new Floors(start.state.floors)
    const pipe = new ReceiptPipeWriter(RECEIPT_PIPE_FD)
    const sign = (message: Buffer) => this.#token.sign(message)
    this.#courier = new ReceiptCourier(pipe, sign)
    const chain = { hsmId: toBuffer(start.hsmId), bootEpoch: start.bootEpoch, worker: start.worker }
    const receipts = new ReceiptChain(chain, sign, (receipt) => {
      this.#courier.keep(receipt)
    })
    this.#courier.follow(receipts)
    const storageKeyId = toBuffer(start.storageKeyId)
    const keks = new KekCache(this.#token, storageKeyId, this.#floors)
    this.#context = this.#makeContext({ token: this.#token, storageKeyId, floors: this.#floors, keks, receipts })
    setInterval(() => {
      this.#courier.signHead()
    }, HEAD_INTERVAL_MS)
  }

  connect(socket: Socket): void {
    const connection = new WorkerConnection(this.#context, socket)
    this.#connections.add(connection)
    socket.on('close', () => this.#connections.delete(connection))
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'state':
        this.#state = message.state
        for (const [id, floor] of message.state.floors) this.#floors.raise(id, floor)
        return send({ type: 'state-known', revision: message.revision })
      case 'orphans':
        for (const chain of message.chains) this.#courier.adopt(chain, toBuffer(this.#start.hsmId))
        return
      case 'order-answer':
        return this.#ledger.answered(message.id, message.answer)
      case 'stop':
        void this.#stop()
        return
      case 'start':
      case 'connection':
        return
    }
  }

  async #stop(): Promise<void> {
    await this.#courier.close(CLOSING_TIMEOUT_MS)
    this.#courier.flush()
    for (const connection of this.#connections) connection.end()
    // What was answered gets out before the process ends.
    await delay(LAST_WRITES_MS)
    this.#token[Symbol.dispose]()
    process.disconnect()
  }

  #makeContext(custody: Custody): WorkerContext {
    const start = this.#start
    return {
      custody,
      courier: this.#courier,
      ledger: this.#ledger,
      operatorPublicKey: toBuffer(start.operatorPublicKey),
      welcome: () => ({
        hsmId: toBuffer(start.hsmId),
        backend: start.backend.kind,
        epoch: this.#state.epoch,
        bootEpoch: start.bootEpoch,
        worker: start.worker,
        workers: start.workers,
        importPublicKey: toBuffer(start.importPublicKey),
        receiptPublicKey: toBuffer(start.receiptPublicKey),
        operatorPublicKey: toBuffer(start.operatorPublicKey),
        lastSequence: this.#state.lastSequence,
      }),
      orderAcknowledged: (signer, sequence) => {
        send({ type: 'order-acknowledged', signer: signer.toString('hex'), sequence })
      },
      afterBatch: () => {
        this.#retireWhenWorn()
      },
    }
  }

  /** SoftHSM2 leaks some 245 bytes per object and only forgets them with the process (prototypes: "SoftHSM leak"). */
  #retireWhenWorn(): void {
    if (this.#retiring || this.#token.objectsMade < this.#start.objectLimit) return
    this.#retiring = true
    send({ type: 'retire' })
  }
}

function reviveSettings(settings: BackendSettings): BackendSettings {
  return reviveBuffers(settings)
}

function reviveCheckValues(values: CheckValues): CheckValues {
  return reviveBuffers(values)
}

function reviveBuffers<T extends object>(value: T): T {
  const revived = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name,
    member instanceof Uint8Array ? toBuffer(member) : member,
  ])
  return Object.fromEntries(revived) as T
}

function main(): void {
  let worker: Worker | undefined
  process.title = 'mortise hsm worker'
  // Signals from a terminal go to the whole group; the supervisor decides when a worker ends.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.on('disconnect', () => process.exit())
  process.on('message', (message: ToWorker, handle: unknown) => {
    if (message.type === 'start') {
      try {
        worker = new Worker(message)
        send({ type: 'ready' })
      } catch (error) {
        const { code, detail } = error instanceof HsmError ? error : new HsmError('token_failed', String(error))
        send({ type: 'failed', code, detail })
        process.disconnect()
      }
    } else if (message.type === 'connection') {
      if (handle instanceof Socket) worker?.connect(handle)
    } else {
      worker?.receive(message)
    }
  })
}

main()
