import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { MAX_PAGE_ROWS } from '../../../src/storage/index.ts'
import { newOrder, newReceipt, SIGNER, submit } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** Orders are submitted, listed, and settled once. */
export function orders(make: () => StorageUnderTest): void {
  test('an order is kept as it came', async () => {
    using under = make()
    const order = newOrder({
      text: randomBytes(5000),
      envelope: randomBytes(9000),
      certificates: ['-----BEGIN CERTIFICATE-----\nü\n', 'second'],
      signatures: [1, 2].map((n) => ({ signer: Buffer.alloc(16, n), signature: Buffer.alloc(64, n) })),
    })
    const stored = await under.storage.administration.submitOrder(order)
    expect(stored).toEqual({
      ...order,
      orderId: expect.any(Number) as number,
      state: 'waiting',
      code: undefined,
      detail: undefined,
      submittedAt: expect.any(Number) as number,
      settledAt: undefined,
    })
    const { administration } = under.reopen()
    expect(administration.findOrder(stored.orderId)).toEqual(stored)
    expect(administration.findOrder(stored.orderId + 1)).toBeUndefined()
  })

  test("a signer's sequence number rises; another signer's is its own", async () => {
    using under = make()
    const { administration } = under.storage
    const other = Buffer.alloc(16, 0x44)
    expect(administration.highestSequence(SIGNER)).toBe(0)
    await administration.submitOrder(newOrder({ sequence: 5 }))
    for (const sequence of [5, 4])
      await expect(administration.submitOrder(newOrder({ sequence }))).rejects.toMatchObject({
        code: 'order_sequence_taken',
      })
    await administration.submitOrder(newOrder({ sequence: 4, signer: other }))
    await administration.submitOrder(newOrder({ sequence: 9 }))
    expect([SIGNER, other].map((signer) => administration.highestSequence(signer))).toEqual([9, 4])
  })

  test('adoption deletes the envelope, keeps the receipt and raises the epoch', async () => {
    using under = make()
    const { administration } = under.storage
    const { orderId } = await submit(under.storage, { envelope: randomBytes(500) })
    const receipt = newReceipt()
    await administration.adoptOrder(orderId, { changes: [], receipt, epoch: 12 })
    const adopted = administration.findOrder(orderId)
    expect(adopted).toMatchObject({ state: 'adopted', envelope: undefined, code: undefined })
    expect(adopted?.settledAt).toEqual(expect.any(Number))
    expect(administration.hsmEpoch()).toBe(12)
    expect(under.receipts()).toEqual([receipt])
  })

  test('refusal deletes the envelope and keeps the code', async () => {
    using under = make()
    const { administration } = under.storage
    const [one, two] = [await submit(under.storage, { envelope: randomBytes(500) }), await submit(under.storage)]
    await administration.refuseOrder(one.orderId, 'order_replayed', 'sequence 1')
    await administration.refuseOrder(two.orderId, 'order_malformed', undefined)
    const refused = { state: 'refused', envelope: undefined }
    expect(administration.findOrder(one.orderId)).toMatchObject({
      ...refused,
      code: 'order_replayed',
      detail: 'sequence 1',
    })
    expect(administration.findOrder(two.orderId)).toMatchObject({
      ...refused,
      code: 'order_malformed',
      detail: undefined,
    })
  })

  test('an order is settled once', async () => {
    using under = make()
    const { administration } = under.storage
    const [adopted, refused] = [await submit(under.storage), await submit(under.storage)]
    const outcome = () => ({ changes: [], receipt: newReceipt(), epoch: 1 })
    await administration.adoptOrder(adopted.orderId, outcome())
    await administration.refuseOrder(refused.orderId, 'order_malformed', undefined)
    for (const { orderId } of [adopted, refused, { orderId: 999 }]) {
      await expect(administration.adoptOrder(orderId, outcome())).rejects.toMatchObject({ code: 'row_missing' })
      await expect(administration.refuseOrder(orderId, 'x', undefined)).rejects.toMatchObject({ code: 'row_missing' })
    }
    expect(administration.findOrder(adopted.orderId)?.state).toBe('adopted')
  })

  test('waiting orders are listed oldest first, settled ones newest first, up to the limit', async () => {
    using under = make()
    const { administration } = under.storage
    const ids: number[] = []
    for (let i = 0; i < 6; i++) ids.push((await submit(under.storage)).orderId)
    for (const orderId of ids.slice(3)) await administration.refuseOrder(orderId, 'x', undefined)
    const listed = (state: 'waiting' | 'refused' | 'adopted', limit: number) =>
      administration.listOrders(state, limit).map(({ orderId }) => orderId)
    expect(listed('waiting', 10)).toEqual(ids.slice(0, 3))
    expect(listed('waiting', 2)).toEqual(ids.slice(0, 2))
    expect(listed('refused', 2)).toEqual([ids[5], ids[4]])
    expect(listed('adopted', 2)).toEqual([])
    expect(() => listed('waiting', MAX_PAGE_ROWS + 1)).toThrow(RangeError)
    expect(listed('waiting', MAX_PAGE_ROWS)).toHaveLength(3)
  })
}
