import {
  decodeReleasedAppSKey,
  encodeReleaseAppSKey,
  type ReleaseAppSKeyCommand,
  type ReleasedAppSKey,
} from '../contract/app-s-key.ts'
import { FRAME, type Frame, type FrameType } from '../contract/frames.ts'
import {
  decodeJoinAnswer,
  encodeJoinCommand,
  encodeVerifyJoinRequest,
  type JoinAnswer,
  type JoinCommand,
  type VerifyJoinRequestCommand,
} from '../contract/join.ts'
import {
  type AppliedOrder,
  type ApplyOrderCommand,
  decodeAppliedOrder,
  encodeAcknowledgeOrder,
  encodeApplyOrder,
} from '../contract/order.ts'
import type { Welcome } from '../contract/session.ts'
import { HsmError } from '../errors.ts'
import {
  decodeReceiptBundle,
  encodeReceiptAcknowledgement,
  type ReceiptAcknowledgement,
  type ReceiptBundle,
} from '../receipts/head.ts'
import { ConnectionLostError, HsmConnection } from './connection.ts'

export type HsmClientState = 'connecting' | 'sealed' | 'rolled-back' | 'ready'

export interface HsmClientOptions {
  readonly socketPath: string
  /** The highest epoch that the database has seen, asked at every connection. */
  readonly knownEpoch: () => number
  /** Receipts and heads that no answer carried: to be made durable, then acknowledged. */
  readonly onReceipts: (bundle: ReceiptBundle) => Promise<void>
  readonly onState: (state: HsmClientState) => void
}

const RECONNECT_MS = 100
/** How long a request waits for a worker that died to be replaced. */
const RETRY_MS = 3000
const MAX_IN_FLIGHT = 8192

/**
 * The server's side of the trust boundary: one connection to each worker. What it sends carries no secret, what comes
 * back is ciphertext, or network session keys on their way to a network server.
 */
export class HsmClient {
  readonly #options: HsmClientOptions
  readonly #connections = new Set<HsmConnection>()
  #state: HsmClientState = 'connecting'
  #welcome: Welcome | undefined
  #closed = false
  #loop: Promise<void>
  readonly #waiting = new Set<() => void>()

  constructor(options: HsmClientOptions) {
    this.#options = options
    this.#loop = this.#keepConnected()
  }

  get state(): HsmClientState {
    return this.#state
  }

  /** The HSM's public facts; absent until it was first reached. */
  get welcome(): Welcome | undefined {
    return this.#welcome
  }

  get inFlight(): number {
    let sum = 0
    for (const connection of this.#connections) sum += connection.inFlight
    return sum
  }

  /** @throws HsmError */
  async answerJoin(command: JoinCommand): Promise<JoinAnswer> {
    return decodeJoinAnswer(await this.#request(FRAME.answerJoin, FRAME.joinAnswered, encodeJoinCommand(command)))
  }

  /** @throws HsmError */
  async verifyJoinRequest(command: VerifyJoinRequestCommand): Promise<void> {
    await this.#request(FRAME.verifyJoinRequest, FRAME.joinRequestVerified, encodeVerifyJoinRequest(command))
  }

  /** @throws HsmError */
  async releaseAppSKey(command: ReleaseAppSKeyCommand): Promise<ReleasedAppSKey> {
    const payload = encodeReleaseAppSKey(command)
    return decodeReleasedAppSKey(await this.#request(FRAME.releaseAppSKey, FRAME.appSKeyReleased, payload))
  }

  /** @throws HsmError */
  async applyOrder(command: ApplyOrderCommand): Promise<AppliedOrder> {
    return decodeAppliedOrder(await this.#request(FRAME.applyOrder, FRAME.orderApplied, encodeApplyOrder(command)))
  }

  /** Says that an order's outcome is durable in the database. */
  acknowledgeOrder(signer: Buffer, sequence: number): void {
    this.#send(FRAME.acknowledgeOrder, encodeAcknowledgeOrder(signer, sequence))
  }

  /** Says up to where a chain's receipts are durable in the database. */
  acknowledgeReceipts(acknowledged: ReceiptAcknowledgement): void {
    const { bootEpoch, worker } = acknowledged
    const own = [...this.#connections].find(
      ({ welcome }) => welcome.worker === worker && welcome.bootEpoch === bootEpoch,
    )
    // Another worker passes it on: the chain's own one may be gone, or have its connection elsewhere.
    this.#send(FRAME.acknowledgeReceipts, encodeReceiptAcknowledgement(acknowledged), own)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wakeAll()
    for (const connection of this.#connections) connection.close()
    await this.#loop
  }

  /**
   * Every request can be made again: the HSM process answers the same to the same. A worker that dies is therefore no
   * reason to fail a join.
   */
  async #request(type: FrameType, expected: FrameType, payload: Buffer): Promise<Buffer> {
    const deadline = performance.now() + RETRY_MS
    for (;;) {
      try {
        return await this.#pick(type).request(type, expected, payload)
      } catch (error) {
        if (!isTransient(error)) throw error
        if (performance.now() >= deadline) throw new HsmError('busy', 'no worker', { cause: error })
        await this.#changed(RECONNECT_MS)
      }
    }
  }

  #pick(type: FrameType): HsmConnection {
    if (this.#state === 'sealed') throw new HsmError('sealed')
    if (this.#state === 'rolled-back' && type !== FRAME.applyOrder) throw new HsmError('store_rolled_back')
    let best: HsmConnection | undefined
    for (const connection of this.#connections)
      if (best === undefined || connection.inFlight < best.inFlight) best = connection
    if (best === undefined) throw new ConnectionLostError()
    if (best.inFlight >= MAX_IN_FLIGHT) throw new HsmError('busy', 'too many requests')
    return best
  }

  /** Fire and forget: what is lost with a connection is said again after the next one. */
  #send(type: FrameType, payload: Buffer, preferred?: HsmConnection): void {
    const connection = preferred ?? this.#connections.values().next().value
    connection?.send(type, 0, payload)
  }

  async #keepConnected(): Promise<void> {
    while (!this.#closed) {
      const missing = (this.#welcome?.workers ?? 1) - this.#connections.size
      if (missing > 0) await this.#connectOne()
      if (missing <= 1) await this.#changed(RECONNECT_MS)
    }
  }

  async #connectOne(): Promise<void> {
    try {
      const connection = await HsmConnection.open(this.#options.socketPath, this.#options.knownEpoch(), {
        onPush: (frame) => {
          this.#pushed(frame)
        },
        onClosed: (closed) => {
          this.#connections.delete(closed)
          if (this.#connections.size === 0) this.#setState('connecting')
          this.#wakeAll()
        },
      })
      this.#opened(connection)
    } catch (error) {
      if (error instanceof HsmError && error.code === 'sealed') this.#setState('sealed')
      else if (this.#connections.size === 0) this.#setState('connecting')
      await this.#changed(RECONNECT_MS)
    }
  }

  #opened(connection: HsmConnection): void {
    if (this.#closed) {
      connection.close()
      return
    }
    this.#connections.add(connection)
    this.#welcome = connection.welcome
    this.#setState(this.#options.knownEpoch() > connection.welcome.epoch ? 'rolled-back' : 'ready')
    this.#wakeAll()
  }

  /** Looks at the epoch again: after the operator accepted it, connections are made anew. */
  reconnect(): void {
    for (const connection of this.#connections) connection.close()
  }

  #pushed(frame: Frame): void {
    if (frame.type !== FRAME.receipts) return
    const bundle = decodeReceiptBundle(frame.payload)
    // A failure to store leaves them unacknowledged: they come again with the next connection.
    this.#options.onReceipts(bundle).catch(() => undefined)
  }

  #setState(state: HsmClientState): void {
    if (state === this.#state) return
    this.#state = state
    this.#options.onState(state)
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when connections changed, or after `ms`. */
  #changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiting.add(done)
    })
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof ConnectionLostError
}
