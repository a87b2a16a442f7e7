import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ReceiptHeadRow } from '../../../src/storage/index.ts'
import { newReceipt } from '../fixtures.ts'
import { UNKNOWN_ID, type StorageUnderTest } from './subject.ts'

/** What there is one of, API keys, and receipts that no answer carried. */
export function singleValues(make: () => StorageUnderTest): void {
  test('the organisation has a random id of its own', () => {
    using one = make()
    using two = make()
    const id = one.storage.administration.organisationId()
    expect(id).toHaveLength(16)
    expect(two.storage.administration.organisationId()).not.toEqual(id)
    expect(one.reopen().administration.organisationId()).toEqual(id)
  })

  test("the epoch of the HSM's store never falls", async () => {
    using under = make()
    const { administration } = under.storage
    expect(administration.hsmEpoch()).toBe(0)
    await administration.recordHsmEpoch(5)
    await administration.recordHsmEpoch(4)
    expect(administration.hsmEpoch()).toBe(5)
    await administration.recordHsmEpoch(6)
    expect(under.reopen().administration.hsmEpoch()).toBe(6)
  })

  test('the public key of the operator is not there at first, and is kept', async () => {
    using under = make()
    const { administration } = under.storage
    expect(administration.operatorPublicKey()).toBeUndefined()
    for (const spki of [randomBytes(44), randomBytes(44)]) {
      await administration.recordOperatorPublicKey(spki)
      expect(administration.operatorPublicKey()).toEqual(spki)
    }
    const spki = administration.operatorPublicKey()
    expect(under.reopen().administration.operatorPublicKey()).toEqual(spki)
  })

  test('API keys are created, found by the hash of their token, and revoked once', async () => {
    using under = make()
    const { administration } = under.storage
    const keys = ['first', 'second'].map((name, i) => ({
      apiKeyId: `key-${i}`,
      name,
      tokenHash: randomBytes(32),
      createdAt: 1_700_000_000_000 + i,
      revokedAt: undefined,
    }))
    for (const key of keys) await administration.createApiKey(key)
    expect(administration.listApiKeys()).toEqual(keys)
    expect(administration.findApiKey(keys[1]?.tokenHash ?? UNKNOWN_ID)).toEqual(keys[1])
    expect(administration.findApiKey(randomBytes(32))).toBeUndefined()
    expect(await administration.revokeApiKey('key-0')).toBe(true)
    expect(await administration.revokeApiKey('key-0')).toBe(false)
    expect(await administration.revokeApiKey('key-9')).toBe(false)
    expect(administration.listApiKeys().map(({ revokedAt }) => typeof revokedAt)).toEqual(['number', 'undefined'])
  })

  test('receipts and heads that no answer carried are recorded once', async () => {
    using under = make()
    const { administration, joins } = under.storage
    const receipts = [newReceipt(), newReceipt()]
    const head: ReceiptHeadRow = {
      bootEpoch: 7,
      worker: 2,
      sequence: 40,
      hash: randomBytes(32),
      closing: false,
      signature: randomBytes(64),
    }
    for (const heads of [[head], [head, { ...head, closing: true }]]) {
      await joins.commit(receipts.map((receipt) => ({ receipt })))
      await administration.recordHeads(heads)
    }
    expect(under.receipts()).toEqual(receipts)
    expect(under.heads()).toEqual(['7/2/40/0', '7/2/40/1'])
    await expect(joins.commit([{ receipt: Buffer.from('none') }])).rejects.toMatchObject({ name: 'HsmError' })
  })
}
