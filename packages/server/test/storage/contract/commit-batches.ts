import { parseDevEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { adopt, keySetOf, newDevice, newReceipt, nextJoin } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** Many commits at once, one that cannot be written, receipts alone. */
export function commitBatches(make: () => StorageUnderTest): void {
  test('joins of many devices and receipts alone share a batch, each with its own result', async () => {
    using under = make()
    const devEuis = Array.from({ length: 40 }, (_, i) =>
      parseDevEui(`0004a30b000000${i.toString(16).padStart(2, '0')}`),
    )
    await adopt(under.storage, ...devEuis.map((devEui) => newDevice({ devEui })))
    const joins = devEuis.map((devEui) => nextJoin(keySetOf(under.storage, devEui)))
    const receipt = newReceipt()
    const results = await Promise.all([
      ...joins.map((join) => under.storage.joins.commit([{ join }])),
      under.storage.joins.commit([{ receipt }]),
      under.storage.joins.commit([]),
    ])
    expect(results).toEqual([...joins.map(() => ['committed']), ['committed'], []])
    expect(devEuis.map((devEui) => keySetOf(under.storage, devEui).state?.last)).toEqual(joins.map(({ last }) => last))
    expect(under.receipts()).toContainEqual(receipt)
  })

  test('more items than one transaction holds are all committed', async () => {
    using under = make()
    const receipts = Array.from({ length: 1300 }, () => newReceipt())
    const calls = [receipts.slice(0, 1), receipts.slice(1, 700), ...receipts.slice(700).map((receipt) => [receipt])]
    const { joins } = under.storage
    const results = await Promise.all(calls.map((call) => joins.commit(call.map((receipt) => ({ receipt })))))
    expect(results.map(({ length }) => length)).toEqual(calls.map(({ length }) => length))
    expect(under.receipts()).toEqual(receipts)
  })

  test('a receipt that comes again is no second one; another one in its place, of a forked chain, is kept beside it', async () => {
    using under = make()
    const [first, fork] = [newReceipt(500_000), newReceipt(500_000)]
    await under.storage.joins.commit([{ receipt: first }])
    await under.storage.joins.commit([{ receipt: first }])
    expect(under.receipts()).toEqual([first])
    await under.storage.joins.commit([{ receipt: fork }])
    expect(under.receipts()).toHaveLength(2)
    expect(under.receipts()).toEqual(expect.arrayContaining([first, fork]))
  })

  test('when one item cannot be written, nothing of the batch is kept and every call hears of it', async () => {
    using under = make()
    const otherDevEui = parseDevEui('0004a30b00ffffff')
    await adopt(under.storage, newDevice(), newDevice({ devEui: otherDevEui }))
    const good = nextJoin(keySetOf(under.storage))
    const bad = nextJoin(keySetOf(under.storage, otherDevEui))
    const impossible = { ...bad, last: { ...bad.last, devNonce: 0x10000 } }
    const before = under.receipts()
    const { joins } = under.storage
    const settled = await Promise.allSettled([good, impossible].map((join) => joins.commit([{ join }])))
    const failure = { status: 'rejected', reason: { name: 'RangeError' } }
    expect(settled).toMatchObject([failure, failure])
    expect(keySetOf(under.storage).state).toBeUndefined()
    expect(under.receipts()).toEqual(before)
    expect(await joins.commit([{ join: good }, { join: bad }])).toEqual(['committed', 'committed'])
  })

  test('a receipt that is none fails its own call only', async () => {
    using under = make()
    const good = newReceipt()
    const { joins } = under.storage
    const settled = await Promise.allSettled([
      joins.commit([{ receipt: good.subarray(1) }]),
      joins.commit([{ receipt: good }]),
    ])
    expect(settled).toMatchObject([
      { status: 'rejected', reason: { name: 'HsmError', code: 'frame_malformed' } },
      { status: 'fulfilled', value: ['committed'] },
    ])
    expect(under.receipts()).toEqual([good])
  })

  test('commits that still wait when the database is closed are made first', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const join = nextJoin(keySetOf(under.storage))
    const committing = under.storage.joins.commit([{ join }])
    const reopened = under.reopen()
    expect(await committing).toEqual(['committed'])
    expect(keySetOf(reopened).state?.last).toEqual(join.last)
  })
}
