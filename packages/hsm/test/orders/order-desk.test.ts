import { describe, expect, test } from 'vitest'
import type { OrderClaim, OrderCommit } from '../../src/custody/apply-order.ts'
import { HsmError } from '../../src/errors.ts'
import { MAX_WAITING_ORDERS, OrderDesk, type OrderWorker } from '../../src/supervisor/order-desk.ts'
import type { OrderAnswer, ToWorker } from '../../src/worker/messages.ts'

class Worker implements OrderWorker {
  closed = false
  readonly answers: [number, OrderAnswer][] = []
  tell(message: ToWorker): void {
    if (message.type === 'order-answer') this.answers.push([message.id, message.answer])
  }
  kindOf(id: number): string | undefined {
    return this.answers.find(([answered]) => answered === id)?.[1].kind
  }
}

const CLAIM: OrderClaim = { signer: '', sequence: 1, orderDigest: Buffer.alloc(32), newKeks: [] }
const COMMIT: OrderCommit = {
  ...CLAIM,
  changes: [],
  receipt: Buffer.alloc(1),
  floors: new Map(),
  acceptedEpoch: undefined,
}

/** A desk whose publishing ends when the test says so. */
function desk() {
  const publishing: (() => void)[] = []
  let epoch = 0
  const made = new OrderDesk({
    claim: () => ({ kind: 'new', kekVersions: [] }),
    write: () => ++epoch,
    publish: () => new Promise<void>((resolve) => publishing.push(resolve)),
    failed: () => undefined,
  })
  return { made, publishing }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('one order at a time', () => {
  test('the next begins when every worker knows the outcome, also if its worker dies meanwhile', async () => {
    const { made, publishing } = desk()
    const [one, two, three] = [new Worker(), new Worker(), new Worker()]
    made.claim(one, 1, CLAIM)
    made.claim(two, 2, CLAIM)
    made.claim(three, 3, CLAIM)
    const committed = made.commit(one, 4, COMMIT)
    one.closed = true
    made.abandoned(one)
    await settled()
    expect(two.kindOf(2)).toBeUndefined()
    publishing.shift()?.()
    await committed
    expect(two.kindOf(2)).toBe('claimed')
    // The end of the first turn does not end the second one.
    expect(three.kindOf(3)).toBeUndefined()
  })

  test('a claim that is given back, or whose worker died, makes room; one that died waiting is skipped', () => {
    const { made } = desk()
    const [one, two, three, four] = [new Worker(), new Worker(), new Worker(), new Worker()]
    for (const [id, worker] of [one, two, three, four].entries()) made.claim(worker, id, CLAIM)
    two.closed = true
    made.abandoned(one)
    expect(two.kindOf(1)).toBeUndefined()
    expect(three.kindOf(2)).toBe('claimed')
    made.abandoned(one)
    expect(four.kindOf(3)).toBeUndefined()
    made.abandoned(three)
    expect(four.kindOf(3)).toBe('claimed')
  })

  test('nobody commits without a claim, or twice', async () => {
    const { made, publishing } = desk()
    const [one, two] = [new Worker(), new Worker()]
    made.claim(one, 1, CLAIM)
    await made.commit(two, 2, COMMIT)
    expect(two.kindOf(2)).toBe('refused')
    const committed = made.commit(one, 3, COMMIT)
    await made.commit(one, 4, COMMIT)
    expect(one.kindOf(4)).toBe('refused')
    publishing.shift()?.()
    await committed
    expect(one.kindOf(3)).toBe('committed')
  })

  test('a store that cannot be written refuses the order and lets the next one try', async () => {
    const failures: unknown[] = []
    const made = new OrderDesk({
      claim: () => ({ kind: 'new', kekVersions: [] }),
      write: () => {
        throw new Error('ENOSPC')
      },
      publish: () => Promise.resolve(),
      failed: (error) => failures.push(error),
    })
    const [one, two] = [new Worker(), new Worker()]
    made.claim(one, 1, CLAIM)
    made.claim(two, 2, CLAIM)
    await made.commit(one, 3, COMMIT)
    expect(one.answers[1]).toEqual([
      3,
      { kind: 'refused', code: 'store_damaged', detail: 'the sealed store could not be written' },
    ])
    expect(failures.length).toBe(1)
    expect(two.kindOf(2)).toBe('claimed')
  })

  test('a refused claim leaves the desk free', () => {
    const made = new OrderDesk({
      claim: () => {
        throw new HsmError('order_replayed')
      },
      write: () => 1,
      publish: () => Promise.resolve(),
      failed: () => undefined,
    })
    const [one, two] = [new Worker(), new Worker()]
    made.claim(one, 1, CLAIM)
    made.claim(two, 2, CLAIM)
    expect([one.kindOf(1), two.kindOf(2)]).toEqual(['refused', 'refused'])
  })

  test('more than the desk holds are refused at once', () => {
    const { made } = desk()
    const worker = new Worker()
    for (let id = 0; id <= MAX_WAITING_ORDERS + 1; id++) made.claim(worker, id, CLAIM)
    expect(worker.kindOf(MAX_WAITING_ORDERS)).toBeUndefined()
    expect(worker.kindOf(MAX_WAITING_ORDERS + 1)).toBe('refused')
  })
})
