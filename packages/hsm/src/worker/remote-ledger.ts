import type { ClaimAnswer, OrderClaim, OrderCommit, OrderLedger } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import { type FromWorker, type OrderAnswer, reviveRecordChange, toBuffer } from './messages.ts'

/** The supervisor's order book as a worker sees it, over the IPC channel. */
export class RemoteLedger implements OrderLedger {
  readonly #send: (message: FromWorker) => void
  readonly #waiting = new Map<number, (answer: OrderAnswer) => void>()
  readonly #sendReceiptAhead: () => void
  #nextId = 1

  constructor(send: (message: FromWorker) => void, sendReceiptAhead: () => void) {
    this.#send = send
    this.#sendReceiptAhead = sendReceiptAhead
  }

  async claim(claim: OrderClaim): Promise<ClaimAnswer> {
    const answer = await this.#ask((id) => ({ type: 'order-claim', id, claim }))
    if (answer.kind !== 'claimed') throw unexpected(answer)
    return reviveClaim(answer.claim)
  }

  async commit(commit: OrderCommit): Promise<number> {
    // The store must not know of an order whose receipt dies with this worker.
    this.#sendReceiptAhead()
    const answer = await this.#ask((id) => ({ type: 'order-commit', id, commit }))
    if (answer.kind !== 'committed') throw unexpected(answer)
    return answer.epoch
  }

  abandon(): void {
    this.#send({ type: 'order-abandon' })
  }

  /** Takes in the supervisor's answer. */
  answered(id: number, answer: OrderAnswer): void {
    this.#waiting.get(id)?.(answer)
    this.#waiting.delete(id)
  }

  #ask(message: (id: number) => FromWorker): Promise<OrderAnswer> {
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#send(message(id))
    })
  }
}

function unexpected(answer: OrderAnswer): HsmError {
  return answer.kind === 'refused'
    ? new HsmError(answer.code, answer.detail)
    : new HsmError('token_failed', 'order book')
}

function reviveClaim(claim: ClaimAnswer): ClaimAnswer {
  if (claim.kind === 'new') return claim
  const { epoch, receipt, changes } = claim.applied
  const revived = changes.map(reviveRecordChange)
  return { kind: 'repeated', applied: { epoch, receipt: toBuffer(receipt), changes: revived } }
}
