import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Custody } from '../custody/custody.ts'
import { Floors } from '../custody/floors.ts'
import { KekCache } from '../custody/kek-cache.ts'
import { HsmError } from '../errors.ts'
import { signerId } from '../orders/sign-order.ts'
import { sayLastWords } from '../process/last-words.ts'
import { protectProcess } from '../process/protect.ts'
import { ReceiptChain } from '../receipts/chain.ts'
import type { ChainName } from '../receipts/chain-end.ts'
import type { ReceiptAcknowledgement } from '../receipts/head.ts'
import { ReceiptPipeWriter } from '../receipts/receipt-pipe.ts'
import type { Token } from '../token/token.ts'
import { asHsmError, WorkerConnection, type WorkerContext } from './connection.ts'
import { type FromWorker, type SharedState, toBuffer, type ToWorker, type WorkerStart } from './messages.ts'
import { ReceiptCourier } from './receipt-courier.ts'
import { RemoteLedger } from './remote-ledger.ts'
import { startToken } from './start-token.ts'

/** A worker of the trust boundary: one token session, and the operations. Started by the supervisor, ends with it. */
const RECEIPT_PIPE_FD = 4
const HEAD_INTERVAL_MS = 1000
const CLOSING_TIMEOUT_MS = 1000
const LAST_WRITES_MS = 50
const ORDERS_TIMEOUT_MS = 1000
const MAX_ORDERS_IN_FLIGHT = 4

function send(message: FromWorker): void {
  process.send?.(message)
}

class Worker {
  readonly #connections = new Set<WorkerConnection>()
  readonly #context: WorkerContext
  readonly #token: Token
  readonly #floors: Floors
  readonly #courier: ReceiptCourier
  readonly #ledger: RemoteLedger
  readonly #start: WorkerStart
  #state: SharedState
  #retiring = false
  #ending = false
  #orders = 0
  #ordersAcknowledged = 0

  constructor(start: WorkerStart) {
    this.#start = start
    this.#state = start.state
    this.#token = startToken(start)
    this.#floors = new Floors(start.state.floors)
    this.#courier = this.#makeCourier()
    this.#ledger = new RemoteLedger(send, () => {
      this.#courier.sendAhead()
    })
    const storageKeyId = toBuffer(start.storageKeyId)
    const keks = new KekCache(this.#token, storageKeyId, this.#floors)
    const receipts = this.#courier.chain
    this.#context = this.#makeContext({ token: this.#token, storageKeyId, floors: this.#floors, keks, receipts })
    setInterval(() => {
      this.#courier.signHead()
      this.#courier.resendStale()
    }, HEAD_INTERVAL_MS)
  }

  connect(socket: Socket): void {
    const connection = new WorkerConnection(this.#context, socket)
    this.#connections.add(connection)
    send({ type: 'connection-opened' })
    socket.on('close', () => {
      this.#connections.delete(connection)
      send({ type: 'connection-closed' })
    })
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'state':
        this.#state = message.state
        for (const [id, floor] of message.state.floors) this.#floors.raise(id, floor)
        return send({ type: 'state-known', revision: message.revision })
      case 'orphans':
        for (const chain of message.chains) this.#courier.adopt(chain)
        return
      case 'acknowledged':
        for (const acknowledged of message.acknowledged) this.#courier.passedOn(acknowledged)
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

  /** Nothing begins any more; what has begun ends; the closing head is the last that leaves. */
  async #stop(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    const deadline = performance.now() + ORDERS_TIMEOUT_MS
    while (this.#orders > 0 && performance.now() < deadline) await delay(5)
    await this.#courier.close(CLOSING_TIMEOUT_MS)
    this.#courier.flush()
    for (const connection of this.#connections) connection.end()
    // What was answered gets out before the process ends.
    await delay(LAST_WRITES_MS)
    this.#token[Symbol.dispose]()
    process.disconnect()
  }

  #makeCourier(): ReceiptCourier {
    const { hsmId, bootEpoch, worker } = this.#start
    const sign = (message: Buffer) => this.#token.sign(message)
    const port = {
      pipe: new ReceiptPipeWriter(RECEIPT_PIPE_FD),
      sign,
      passOn: (acknowledged: readonly ReceiptAcknowledgement[]) => {
        send({ type: 'acknowledged', acknowledged })
      },
      chainClosed: (chain: ChainName) => {
        send({ type: 'chain-closed', bootEpoch: chain.bootEpoch, worker: chain.worker })
      },
    }
    return new ReceiptCourier(
      port,
      (keep) => new ReceiptChain({ hsmId: toBuffer(hsmId), bootEpoch, worker }, sign, keep),
    )
  }

  #makeContext(custody: Custody): WorkerContext {
    const start = this.#start
    const isEnding = () => this.#ending
    const operator = signerId(toBuffer(this.#start.operatorPublicKey))
    return {
      get ending() {
        return isEnding()
      },
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
        // Each order at most once: whoever repeats acknowledgements for ever does not fill the channel to the supervisor.
        if (!signer.equals(operator)) return
        if (sequence <= this.#ordersAcknowledged || sequence > this.#state.lastSequence) return
        this.#ordersAcknowledged = sequence
        send({ type: 'order-acknowledged', signer: signer.toString('hex'), sequence })
      },
      withOrder: (carryOut) => this.#withOrder(carryOut),
      afterBatch: () => {
        this.#retireWhenWorn()
      },
    }
  }

  async #withOrder<Result>(carryOut: () => Promise<Result>): Promise<Result> {
    if (this.#orders >= MAX_ORDERS_IN_FLIGHT) throw new HsmError('busy', 'orders')
    this.#orders += 1
    try {
      return await carryOut()
    } finally {
      this.#orders -= 1
    }
  }

  /** SoftHSM2 leaks some 245 bytes per object and only forgets them with the process (prototypes: "SoftHSM leak"). */
  #retireWhenWorn(): void {
    if (this.#retiring || this.#token.objectsMade < this.#start.objectLimit) return
    this.#retiring = true
    send({ type: 'retire' })
  }
}

function main(): void {
  let worker: Worker | undefined
  process.title = 'mortise hsm worker'
  sayLastWords()
  protectProcess((line) => process.stderr.write(`mortise hsm worker: ${line}\n`))
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
        const { code, detail } = asHsmError(error)
        send({ type: 'failed', code, detail })
        process.disconnect()
      }
    } else if (message.type === 'connection') {
      if (handle instanceof Socket) worker?.connect(handle)
      else {
        // The client was gone before the connection got here: the supervisor counts it as come and gone.
        send({ type: 'connection-opened' })
        send({ type: 'connection-closed' })
      }
    } else {
      worker?.receive(message)
    }
  })
}

main()
