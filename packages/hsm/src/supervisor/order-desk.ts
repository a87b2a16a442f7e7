import type { ClaimAnswer, OrderClaim, OrderCommit } from '../custody/apply-order.ts'
import { HsmError } from '../errors.ts'
import type { OrderAnswer, ToWorker } from '../worker/messages.ts'

/** Orders that wait for another one; more are refused. */
export const MAX_WAITING_ORDERS = 64

/** The worker that carries out an order, as far as the desk needs it. */
export interface OrderWorker {
  readonly closed: boolean
  tell(message: ToWorker): void
}

export interface OrderDeskPort {
  /** @throws HsmError as the order book refuses */
  claim(claim: OrderClaim): ClaimAnswer
  /** Makes the outcome durable. @throws when it is not */
  write(commit: OrderCommit): number
  /** Resolves when no worker accepts a replaced record any more. */
  publish(commit: OrderCommit): Promise<void>
  failed(error: unknown): void
}

/** The order whose turn it is. */
interface Turn {
  readonly worker: OrderWorker
  committing: boolean
}

interface Waiting {
  readonly worker: OrderWorker
  readonly id: number
  readonly claim: OrderClaim
}

/**
 * Lets one order at a time read and write the sealed store. A turn lasts until its outcome is durable and every worker
 * knows it, also when the worker that began it dies meanwhile: the next order must not begin on old floors.
 */
export class OrderDesk {
  readonly #port: OrderDeskPort
  readonly #waiting: Waiting[] = []
  #turn: Turn | undefined

  constructor(port: OrderDeskPort) {
    this.#port = port
  }

  claim(worker: OrderWorker, id: number, claim: OrderClaim): void {
    if (this.#waiting.length >= MAX_WAITING_ORDERS) {
      worker.tell({ type: 'order-answer', id, answer: { kind: 'refused', code: 'busy', detail: 'orders' } })
      return
    }
    this.#waiting.push({ worker, id, claim })
    this.#next()
  }

  async commit(worker: OrderWorker, id: number, commit: OrderCommit): Promise<void> {
    const turn = this.#turn
    if (turn?.worker !== worker || turn.committing) {
      worker.tell({ type: 'order-answer', id, answer: { kind: 'refused', code: 'token_failed', detail: 'no claim' } })
      return
    }
    turn.committing = true
    const answer = this.#attempt(() => ({ kind: 'committed', epoch: this.#port.write(commit) }))
    if (answer.kind === 'committed') await this.#port.publish(commit)
    worker.tell({ type: 'order-answer', id, answer })
    this.#end(turn)
  }

  /** The worker gives its claim back, or is gone: unless the outcome is being written, the next one begins. */
  abandoned(worker: OrderWorker): void {
    const turn = this.#turn
    if (turn?.worker === worker && !turn.committing) this.#end(turn)
  }

  #next(): void {
    while (this.#turn === undefined) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      const { worker, id, claim } = next
      if (worker.closed) continue
      const answer = this.#attempt(() => ({ kind: 'claimed', claim: this.#port.claim(claim) }))
      // Refused, or answered from memory: nothing will be committed.
      if (answer.kind === 'claimed' && answer.claim.kind === 'new') this.#turn = { worker, committing: false }
      worker.tell({ type: 'order-answer', id, answer })
    }
  }

  #end(turn: Turn): void {
    if (this.#turn !== turn) return
    this.#turn = undefined
    this.#next()
  }

  #attempt(answer: () => OrderAnswer): OrderAnswer {
    try {
      return answer()
    } catch (error) {
      if (error instanceof HsmError) return { kind: 'refused', code: error.code, detail: error.detail }
      this.#port.failed(error)
      return { kind: 'refused', code: 'store_damaged', detail: `the sealed store could not be written${reason(error)}` }
    }
  }
}

/** The operating system's word for it: what a full disk is should not look like damage. */
function reason(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? `: ${error.code}` : ''
}
