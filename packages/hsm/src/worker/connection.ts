import type { Socket } from 'node:net'
import { decodeReleaseAppSKey, encodeReleasedAppSKey } from '../contract/app-s-key.ts'
import { encodeFrame, FRAME, type Frame, FrameSplitter, type FrameType } from '../contract/frames.ts'
import { decodeJoinCommand, decodeVerifyJoinRequest, encodeJoinAnswer } from '../contract/join.ts'
import { decodeAcknowledgeOrder, decodeApplyOrder, encodeAppliedOrder } from '../contract/order.ts'
import { decodeHello, encodeRefusal, encodeWelcome, type Welcome } from '../contract/session.ts'
import { answerJoin, verifyJoinRequest } from '../custody/answer-join.ts'
import { applyOrder, type OrderLedger } from '../custody/apply-order.ts'
import type { Custody } from '../custody/custody.ts'
import { releaseAppSKey } from '../custody/release-app-s-key.ts'
import { HsmError } from '../errors.ts'
import { parseOrder } from '../orders/parse-order.ts'
import { withoutValues } from '../process/last-words.ts'
import { decodeReceiptAcknowledgement } from '../receipts/head.ts'
import type { ReceiptCourier } from './receipt-courier.ts'

/** What a connection needs to know of its worker. */
export interface WorkerContext {
  readonly custody: Custody
  readonly courier: ReceiptCourier
  readonly ledger: OrderLedger
  readonly operatorPublicKey: Buffer
  /** The facts of a welcome as of now. */
  welcome(): Welcome
  orderAcknowledged(signer: Buffer, sequence: number): void
  /** True once the worker ends: it does no operation any more, and the client asks another one. */
  readonly ending: boolean
  /** Runs an order unless too many wait already. @throws HsmError busy, or as `carryOut` does */
  withOrder<Result>(carryOut: () => Promise<Result>): Promise<Result>
  /** Called after every batch: the worker may want to be replaced. */
  afterBatch(): void
}

const NOTHING = Buffer.alloc(0)

/** One connection of the server. Frames that arrive together are answered together, in one write. */
export class WorkerConnection {
  readonly #context: WorkerContext
  readonly #socket: Socket
  readonly #splitter = new FrameSplitter()
  #state: 'new' | 'open' | 'rolled-back' | 'broken' = 'new'
  #out: Buffer[] = []

  constructor(context: WorkerContext, socket: Socket) {
    this.#context = context
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
    socket.on('drain', () => socket.resume())
    // A broken connection is the client's to notice; what it did not get, it asks for again.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      context.courier.disconnected(this)
    })
    socket.resume()
  }

  /** Sends a frame that nobody asked for. */
  push(type: FrameType, payload: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeFrame(type, 0, payload))
  }

  get backlogged(): boolean {
    return this.#socket.writableNeedDrain
  }

  /** Closes the connection after what was written. */
  end(): void {
    this.#socket.end()
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'broken') return
    try {
      for (const frame of this.#splitter.push(chunk)) this.#handle(frame)
    } catch (error) {
      // The stream cannot be cut into frames any more.
      this.#state = 'broken'
      this.#answer(FRAME.refused, 0, encodeRefusal(asHsmError(error)))
      this.#flush()
      this.#socket.destroySoon()
      return
    }
    this.#flush()
    this.#context.afterBatch()
  }

  #handle(frame: Frame): void {
    try {
      this.#dispatch(frame)
    } catch (error) {
      this.#answer(FRAME.refused, frame.requestId, encodeRefusal(asHsmError(error)))
    }
  }

  #dispatch(frame: Frame): void {
    // No answer: the connection closes soon, and the client makes the request again elsewhere.
    if (this.#context.ending && frame.type !== FRAME.acknowledgeReceipts) return
    if (this.#state === 'new' && frame.type !== FRAME.hello) throw new HsmError('frame_malformed', 'hello expected')
    if (this.#state === 'rolled-back') this.#allowRecoveryOnly(frame)
    switch (frame.type) {
      case FRAME.hello:
        return this.#hello(frame)
      case FRAME.answerJoin:
        return this.#answerJoin(frame)
      case FRAME.verifyJoinRequest:
        verifyJoinRequest(this.#context.custody, decodeVerifyJoinRequest(frame.payload))
        return this.#answer(FRAME.joinRequestVerified, frame.requestId, NOTHING)
      case FRAME.releaseAppSKey:
        return this.#releaseAppSKey(frame)
      case FRAME.applyOrder:
        void this.#applyOrder(frame)
        return
      case FRAME.acknowledgeOrder: {
        const { signer, sequence } = decodeAcknowledgeOrder(frame.payload)
        return this.#context.orderAcknowledged(signer, sequence)
      }
      case FRAME.acknowledgeReceipts:
        return this.#context.courier.acknowledged(decodeReceiptAcknowledgement(frame.payload))
      default:
        throw new HsmError('frame_malformed', 'frame type')
    }
  }

  #hello(frame: Frame): void {
    if (this.#state !== 'new') throw new HsmError('frame_malformed', 'a second hello')
    const { knownEpoch } = decodeHello(frame.payload)
    const welcome = this.#context.welcome()
    this.#answer(FRAME.welcome, frame.requestId, encodeWelcome(welcome))
    this.#state = knownEpoch > welcome.epoch ? 'rolled-back' : 'open'
    // The welcome goes first: until it comes, the other side takes nothing else.
    this.#flush()
    if (this.#state === 'open') this.#context.courier.connected(this)
  }

  /** A store older than the database knows may have forgotten removals: only the operator's word lets it go on. */
  #allowRecoveryOnly(frame: Frame): void {
    if (frame.type === FRAME.hello || frame.type === FRAME.acknowledgeOrder) return
    if (frame.type === FRAME.applyOrder) {
      const { changes } = parseOrder(decodeApplyOrder(frame.payload).text)
      if (changes.every((change) => change.action === 'epoch.accept')) return
    }
    throw new HsmError('store_rolled_back')
  }

  #answerJoin(frame: Frame): void {
    const { custody, courier } = this.#context
    courier.refuseWhenFull()
    const answer = answerJoin(custody, decodeJoinCommand(frame.payload))
    this.#answer(FRAME.joinAnswered, frame.requestId, encodeJoinAnswer(answer))
  }

  #releaseAppSKey(frame: Frame): void {
    const { custody, courier } = this.#context
    courier.refuseWhenFull()
    const answer = releaseAppSKey(custody, decodeReleaseAppSKey(frame.payload))
    this.#answer(FRAME.appSKeyReleased, frame.requestId, encodeReleasedAppSKey(answer))
  }

  async #applyOrder(frame: Frame): Promise<void> {
    const { custody, ledger, operatorPublicKey, courier } = this.#context
    try {
      courier.refuseWhenFull()
      const authority = { hsmId: custody.receipts.hsmId, operatorPublicKey }
      const command = decodeApplyOrder(frame.payload)
      const applied = await this.#context.withOrder(() => applyOrder(custody, authority, ledger, command))
      this.#answer(FRAME.orderApplied, frame.requestId, encodeAppliedOrder(applied))
    } catch (error) {
      this.#answer(FRAME.refused, frame.requestId, encodeRefusal(asHsmError(error)))
    }
    this.#flush()
  }

  #answer(type: FrameType, requestId: number, payload: Buffer): void {
    this.#out.push(encodeFrame(type, requestId, payload))
  }

  /** Receipts first: the supervisor has them before an answer can leave. */
  #flush(): void {
    this.#context.courier.flush()
    if (this.#out.length === 0 || this.#socket.destroyed) return
    const bytes = Buffer.concat(this.#out)
    this.#out = []
    // A server that does not read its answers gets no more work done.
    if (!this.#socket.write(bytes)) this.#socket.pause()
  }
}

/** What a peer may see of an error: its code, or that something failed inside. */
export function asHsmError(error: unknown): HsmError {
  if (error instanceof HsmError) return error
  process.stderr.write(`mortise hsm: unexpected failure: ${withoutValues(error)}\n`)
  return new HsmError('token_failed', 'unexpected failure')
}
