import { type HsmClient, type Order, parseOrder, signerId } from '@mortise/hsm'
import {
  type AdministrationReader,
  type AdministrationWriter,
  type AdoptedChange,
  MAX_PAGE_ROWS,
  type StoredOrder,
} from '../storage/index.ts'
import type { OrderReport } from './administration.ts'
import type { AdmittedOrder } from './admit-order.ts'
import { AdministrationError, isAdministrationErrorCode, REFUSES_ORDER, toAdministrationError } from './errors.ts'
import { planOrder } from './plan-order.ts'

/** Orders that wait for the HSM; each may be 1 MB, and add 500 devices. */
export const MAX_WAITING_ORDERS = 500

/** How long an order waits that failed for a reason which no event will tell the end of, a full disk for example. */
const RETRY_MS = 5000

/** What adoption needs of the HSM. */
export type OrderHsm = Pick<HsmClient, 'applyOrder' | 'acknowledgeOrder' | 'reconnect' | 'state'>

export interface OrderAdopterOptions {
  readonly storage: AdministrationReader & AdministrationWriter
  /** Without it every order waits. */
  readonly hsm: OrderHsm | undefined
  /** The receipt of an order is durable. */
  readonly receiptCommitted?: (receipt: Buffer) => void
  /** The database has changed so: peers, for example, may have to be read again. */
  readonly adopted?: (changes: readonly AdoptedChange[]) => void
}

/**
 * Carries orders through the HSM into the database, one at a time, in the order of their submission: an order is sent to
 * the HSM only when all before it are settled. A crash anywhere in between loses nothing: the order still waits, the HSM
 * answers the same to it again, and the database has changed whole or not at all.
 */
export class OrderAdopter implements AsyncDisposable {
  readonly #options: OrderAdopterOptions
  #queue: Promise<unknown> = Promise.resolve()
  #waiting: number
  #obstacle: AdministrationError | undefined
  #retry: NodeJS.Timeout | undefined
  #disposed = false

  constructor(options: OrderAdopterOptions) {
    this.#options = options
    this.#waiting = options.storage.listOrders('waiting', MAX_PAGE_ROWS).length
  }

  /** Whether every order that was ever submitted is adopted or refused. */
  get allSettled(): boolean {
    return this.#waiting === 0
  }

  get waitingOrders(): number {
    return this.#waiting
  }

  /** Why the first waiting order could not be settled the last time. */
  get obstacle(): AdministrationError | undefined {
    return this.allSettled ? undefined : this.#obstacle
  }

  /**
   * Stores an order and settles all that wait. Resolves with `waiting` when the HSM cannot take it now.
   * @throws AdministrationError the reason of a refusal; order_backlog_full, order_sequence_taken
   */
  submit({ order, stored }: AdmittedOrder): Promise<OrderReport> {
    return this.#inTurn(async () => {
      this.#refuseEarly(order, stored.certificates)
      const { orderId } = await this.#options.storage.submitOrder(stored)
      this.#waiting += 1
      await this.#settleAll()
      return this.#report(orderId)
    })
  }

  /** Settles the waiting orders as far as it goes; to be called whenever the HSM may have become able to take them. */
  adoptWaiting(): Promise<void> {
    return this.#inTurn(() => {
      this.#acknowledgeAdopted()
      return this.#settleAll()
    })
  }

  /** Resolves when the database is not used any more; what waits then goes on waiting. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    clearTimeout(this.#retry)
    await this.#queue
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work)
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  /** Where nothing waits, the database says already whether the order can be adopted; then it need not be stored. */
  #refuseEarly(order: Order, certificates: readonly string[]): void {
    if (this.#waiting >= MAX_WAITING_ORDERS) throw new AdministrationError('order_backlog_full')
    if (this.#waiting === 0) planOrder(this.#options.storage, order, certificates)
  }

  /**
   * Says again what is durable: an acknowledgement may have been lost, or withheld by a server that was taken over, and
   * the HSM takes no order while too many outcomes are unacknowledged. The newest adopted order stands for all before
   * it, which were settled in the order of their sequence numbers.
   */
  #acknowledgeAdopted(): void {
    const { storage, hsm } = this.#options
    if (hsm === undefined || this.#disposed) return
    const operatorPublicKey = storage.operatorPublicKey()
    const [newest] = storage.listOrders('adopted', 1)
    if (operatorPublicKey === undefined || newest?.signer.equals(signerId(operatorPublicKey)) !== true) return
    hsm.acknowledgeOrder(newest.signer, newest.sequence)
  }

  async #settleAll(): Promise<void> {
    const { hsm } = this.#options
    if (hsm === undefined) return
    this.#obstacle = undefined
    for (let order = this.#next(hsm); order !== undefined; order = this.#next(hsm)) {
      this.#obstacle = await this.#settle(hsm, order)
      if (this.#obstacle !== undefined) break
      this.#waiting -= 1
    }
    this.#retryLater()
  }

  /** The next order that the HSM would take. From a rolled-back store it takes the operator's word for it alone. */
  #next(hsm: OrderHsm): StoredOrder | undefined {
    const { storage } = this.#options
    if (this.#disposed) return undefined
    if (hsm.state !== 'rolled-back') return storage.listOrders('waiting', 1)[0]
    return storage.listOrders('waiting', MAX_WAITING_ORDERS).find((order) => accepts(order))
  }

  /** Adopts or refuses an order; gives the obstacle when it has to wait. */
  async #settle(hsm: OrderHsm, order: StoredOrder): Promise<AdministrationError | undefined> {
    let changes: readonly AdoptedChange[]
    try {
      changes = await this.#adopt(hsm, order)
    } catch (cause) {
      const error = toAdministrationError(cause)
      if (!REFUSES_ORDER[error.code]) return error
      return this.#refuse(order, error)
    }
    // It is durable, and so adopted, whatever becomes of those who are told.
    this.#options.adopted?.(changes)
    return undefined
  }

  async #adopt(hsm: OrderHsm, stored: StoredOrder): Promise<readonly AdoptedChange[]> {
    const { storage, receiptCommitted } = this.#options
    const order = parseOrder(stored.text)
    const plan = planOrder(storage, order, stored.certificates)
    const { text, signatures, envelope } = stored
    const applied = await hsm.applyOrder({ text, signatures, envelope, records: plan.records })
    const changes = plan.adoptedChanges(applied, Date.now())
    await storage.adoptOrder(stored.orderId, { changes, receipt: applied.receipt, epoch: applied.epoch })
    hsm.acknowledgeOrder(stored.signer, stored.sequence)
    receiptCommitted?.(applied.receipt)
    // The HSM compares epochs when a connection begins.
    if (order.changes.some(({ action }) => action === 'epoch.accept')) hsm.reconnect()
    return changes
  }

  async #refuse(order: StoredOrder, { code, detail }: AdministrationError): Promise<AdministrationError | undefined> {
    try {
      await this.#options.storage.refuseOrder(order.orderId, code, detail)
      return undefined
    } catch (cause) {
      return toAdministrationError(cause)
    }
  }

  #report(orderId: number): OrderReport {
    const order = this.#options.storage.findOrder(orderId)
    if (order?.state === 'refused') throw refusalOf(order)
    return { orderId, state: order?.state === 'adopted' ? 'adopted' : 'waiting' }
  }

  #retryLater(): void {
    clearTimeout(this.#retry)
    if (this.#waiting === 0 || this.#disposed) return
    this.#retry = setTimeout(() => {
      // A failure that is none of HSM or database is a defect; it stays visible as orders that wait.
      this.adoptWaiting().catch(() => undefined)
    }, RETRY_MS).unref()
  }
}

/** Whether an order does nothing but accept an older store. */
function accepts(order: StoredOrder): boolean {
  return parseOrder(order.text).changes.every(({ action }) => action === 'epoch.accept')
}

function refusalOf({ code, detail }: StoredOrder): AdministrationError {
  const known = code !== undefined && isAdministrationErrorCode(code) ? code : 'order_malformed'
  return new AdministrationError(known, detail)
}
