import type { AppliedOrder, ApplyOrderCommand } from '../../src/contract/order.ts'
import { applyOrder, type OrderLedger } from '../../src/custody/apply-order.ts'
import type { Custody } from '../../src/custody/custody.ts'
import { Floors } from '../../src/custody/floors.ts'
import { KekCache } from '../../src/custody/kek-cache.ts'
import { ReceiptChain } from '../../src/receipts/chain.ts'
import { claimOrder, commitOrder } from '../../src/supervisor/order-book.ts'
import type { StoreState } from '../../src/store/state.ts'
import { openToken } from '../../src/token/open-token.ts'
import type { Token } from '../../src/token/token.ts'
import type { TestHsm } from './test-hsm.ts'

/** The operations of a worker without its process: one token, and a store that stays in memory. */
export class Bench {
  readonly custody: Custody
  readonly receipts: Buffer[] = []
  state: StoreState
  readonly #floors: Floors

  /** `spy` may put itself before the token. */
  constructor(hsm: TestHsm, spy: (token: Token) => Token = (token) => token) {
    this.state = hsm.readState()
    const { backend, hsmId, storageKeyId } = this.state
    const token = spy(openToken(backend, hsm.secret()))
    this.#floors = new Floors(this.state.floors)
    const chain = { hsmId, bootEpoch: 1, worker: 1 }
    this.custody = {
      token,
      storageKeyId,
      floors: this.#floors,
      keks: new KekCache(token, storageKeyId, this.#floors),
      receipts: new ReceiptChain(
        chain,
        (message) => token.sign(message),
        (receipt) => this.receipts.push(receipt),
      ),
    }
  }

  apply(command: ApplyOrderCommand): Promise<AppliedOrder> {
    const { hsmId, operatorPublicKey } = this.state
    return applyOrder(this.custody, { hsmId, operatorPublicKey }, this.#ledger(), command)
  }

  /** Applies an order and gives the record that each of its changes made, in order. */
  async records(command: ApplyOrderCommand): Promise<Buffer[]> {
    const { changes } = await this.apply(command)
    return changes.flatMap(({ record }) => (record === undefined ? [] : [record]))
  }

  #ledger(): OrderLedger {
    return {
      claim: (claim) => Promise.resolve(claim).then((asked) => claimOrder(this.state, asked)),
      commit: (commit) => {
        // The database has everything at once here.
        this.state = { ...commitOrder(this.state, commit), unacknowledged: [] }
        for (const [id, floor] of commit.floors) this.#floors.raise(id, floor)
        return Promise.resolve(this.state.epoch)
      },
      abandon: () => undefined,
    }
  }

  [Symbol.dispose](): void {
    this.custody.token[Symbol.dispose]()
  }
}
