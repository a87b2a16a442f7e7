import { FRAME, type FrameType } from '../contract/frames.ts'
import { HsmError } from '../errors.ts'
import type { ReceiptChain } from '../receipts/chain.ts'
import { type ChainEnd, chainKey, type ChainName } from '../receipts/chain-end.ts'
import {
  encodeReceiptBundle,
  type ReceiptAcknowledgement,
  type ReceiptBundle,
  type ReceiptHead,
  receiptHeadText,
} from '../receipts/head.ts'
import type { ReceiptPipeWriter } from '../receipts/receipt-pipe.ts'
import { UnacknowledgedReceipts } from '../receipts/unacknowledged.ts'
import { toBuffer } from './messages.ts'

/** A connection that can carry receipts to the server. */
export interface ReceiptCarrier {
  push(type: FrameType, payload: Buffer): void
  /** Whether the server leaves unread what it was sent. */
  readonly backlogged: boolean
}

export interface ReceiptCourierPort {
  readonly pipe: ReceiptPipeWriter
  readonly sign: (message: Buffer) => Buffer
  /** Acknowledgements that came here and concern another chain. */
  passOn(acknowledged: readonly ReceiptAcknowledgement[]): void
  /** The server has a chain to its end. */
  chainClosed(chain: ChainName): void
}

/** Keeps a frame of receipts, of some 200 bytes each, far below the limit of frames. */
const MAX_RECEIPTS_PER_FRAME = 4096
/** Acknowledgements for other chains are passed on together; a server that names more chains than exist loses some. */
const MAX_FOREIGN_CHAINS = 64
const PASS_ON_MS = 20

/** A dead worker's chain, which this one closes. */
interface Orphan {
  readonly head: ReceiptHead
  receipts: readonly Buffer[]
  /** Before the closing head has left, an acknowledgement can only mean the receipts. */
  sent: boolean
}

/** Sees to it that every receipt reaches the server's database, and that heads are signed. */
export class ReceiptCourier {
  readonly #port: ReceiptCourierPort
  readonly #chain: ReceiptChain
  readonly #own = new UnacknowledgedReceipts()
  readonly #orphans = new Map<string, Orphan>()
  readonly #carriers = new Set<ReceiptCarrier>()
  readonly #foreign = new Map<string, ReceiptAcknowledgement>()
  #signedUpTo = 0
  /** The oldest receipt that waited when {@link resendStale} looked last. */
  #waiting = 0
  #closingAcknowledged: (() => void) | undefined

  /** `makeChain` gets what the worker's own chain calls with every receipt. */
  constructor(port: ReceiptCourierPort, makeChain: (keep: (receipt: Buffer) => void) => ReceiptChain) {
    this.#port = port
    this.#chain = makeChain((receipt) => {
      this.#own.add(receipt)
      port.pipe.receipt(receipt)
    })
  }

  /** The worker's own chain: every receipt in it is kept until its commit is acknowledged. */
  get chain(): ReceiptChain {
    return this.#chain
  }

  /** @throws HsmError receipts_backlog_full: nothing is done that could not be accounted for */
  refuseWhenFull(): void {
    if (this.#own.full) throw new HsmError('receipts_backlog_full')
  }

  /** Returns when the supervisor would survive this worker with every receipt. */
  flush(): void {
    this.#port.pipe.flush()
  }

  /**
   * Sends the newest receipt ahead of its answer, which later ones will overtake. What the server has of a chain is
   * always its beginning, so that a crash of all processes cuts off its end and leaves no gap.
   */
  sendAhead(): void {
    this.flush()
    const carrier = this.#anyCarrier()
    const newest = this.#own.receipts.at(-1)
    if (carrier !== undefined && newest !== undefined) send(carrier, { receipts: [newest], heads: [] })
  }

  /** A new connection gets everything that is not acknowledged: the server knows what it has. */
  connected(carrier: ReceiptCarrier): void {
    this.#carriers.add(carrier)
    send(carrier, { receipts: this.#own.receipts, heads: [] })
    for (const orphan of this.#orphans.values()) sendOrphan(carrier, orphan)
  }

  disconnected(carrier: ReceiptCarrier): void {
    this.#carriers.delete(carrier)
  }

  /** Takes in what the server says on one of this worker's connections: it may concern any chain. */
  acknowledged(acknowledged: ReceiptAcknowledgement): void {
    if (chainKey(acknowledged) === chainKey(this.#chain)) this.#acknowledgeOwn(acknowledged.sequence)
    else {
      this.#acknowledgeOrphan(acknowledged)
      this.#collect(acknowledged)
    }
  }

  /** Takes in what the server said to another worker. */
  passedOn(acknowledged: ReceiptAcknowledgement): void {
    if (chainKey(acknowledged) === chainKey(this.#chain)) this.#acknowledgeOwn(acknowledged.sequence)
    else this.#acknowledgeOrphan(acknowledged)
    this.flush()
  }

  /** Closes the chain of a dead worker and hands it over. */
  adopt(end: ChainEnd): void {
    const { bootEpoch, worker, sequence } = end
    const head = { hsmId: this.#chain.hsmId, bootEpoch, worker, sequence, hash: toBuffer(end.hash), closing: true }
    const signed = { ...head, signature: this.#port.sign(receiptHeadText(head)) }
    const orphan = { head: signed, receipts: end.receipts.map(toBuffer), sent: false }
    this.#orphans.set(chainKey(end), orphan)
    const carrier = this.#anyCarrier()
    if (carrier !== undefined) sendOrphan(carrier, orphan)
  }

  /** Signs the head of the own chain if it has grown since the last one. */
  signHead(): void {
    const carrier = this.#anyCarrier()
    if (carrier === undefined || this.#chain.sequence === this.#signedUpTo) return
    this.#signedUpTo = this.#chain.sequence
    send(carrier, { receipts: [], heads: [this.#chain.head(false)] })
  }

  /**
   * Sends again what nobody has acknowledged since the last call: a server that could not store it then may be able to
   * now, without a new connection.
   */
  resendStale(): void {
    const { first, receipts } = this.#own
    const stale = receipts.length > 0 && first === this.#waiting
    this.#waiting = first
    const carrier = this.#anyCarrier()
    if (carrier === undefined || carrier.backlogged) return
    if (stale) send(carrier, { receipts: receipts.slice(0, MAX_RECEIPTS_PER_FRAME), heads: [] })
    for (const orphan of this.#orphans.values()) sendOrphan(carrier, orphan)
  }

  /** Signs the closing head, after which the chain takes no receipt; resolves when the server has it, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    const head = this.#chain.head(true)
    const carrier = this.#anyCarrier()
    // Without a server the supervisor sees to it that the head is signed again and handed over.
    if (carrier === undefined) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#closingAcknowledged = () => {
        clearTimeout(timer)
        this.#port.chainClosed(this.#chain)
        resolve()
      }
      send(carrier, { receipts: [], heads: [head] })
    })
  }

  #acknowledgeOwn(sequence: number): void {
    this.#own.acknowledge(sequence)
    this.#port.pipe.acknowledged(sequence)
    if (sequence >= this.#chain.sequence) this.#closingAcknowledged?.()
  }

  #acknowledgeOrphan(acknowledged: ReceiptAcknowledgement): void {
    const key = chainKey(acknowledged)
    const orphan = this.#orphans.get(key)
    if (orphan === undefined) return
    const left = Math.max(0, orphan.head.sequence - acknowledged.sequence)
    orphan.receipts = orphan.receipts.slice(Math.max(0, orphan.receipts.length - left))
    if (left > 0 || !orphan.sent) return
    this.#orphans.delete(key)
    this.#port.chainClosed(acknowledged)
  }

  #collect(acknowledged: ReceiptAcknowledgement): void {
    if (this.#foreign.size >= MAX_FOREIGN_CHAINS) return
    if (this.#foreign.size === 0)
      setTimeout(() => {
        this.#port.passOn([...this.#foreign.values()])
        this.#foreign.clear()
      }, PASS_ON_MS)
    this.#foreign.set(chainKey(acknowledged), acknowledged)
  }

  #anyCarrier(): ReceiptCarrier | undefined {
    return this.#carriers.values().next().value
  }
}

function sendOrphan(carrier: ReceiptCarrier, orphan: Orphan): void {
  send(carrier, { receipts: orphan.receipts, heads: [orphan.head] })
  orphan.sent = true
}

/** Heads go with the last of the receipts, so that whoever has a closing head was sent everything before it. */
function send(carrier: ReceiptCarrier, { receipts, heads }: ReceiptBundle): void {
  let rest = receipts
  for (; rest.length > MAX_RECEIPTS_PER_FRAME; rest = rest.slice(MAX_RECEIPTS_PER_FRAME))
    carrier.push(FRAME.receipts, encodeReceiptBundle({ receipts: rest.slice(0, MAX_RECEIPTS_PER_FRAME), heads: [] }))
  if (rest.length > 0 || heads.length > 0) carrier.push(FRAME.receipts, encodeReceiptBundle({ receipts: rest, heads }))
}
