import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { CheckValues } from '../../src/token/token.ts'
import { keyUnwrap, keyWrap } from '../soft/crypto-oracle.ts'
import { flipBit, openEnvelope, refusal, storageKey, type TokenFixture } from './fixture.ts'

/** Check values, and the escrow copy under the recovery key. */
export function recoveryTests(fixture: () => TokenFixture): void {
  it('opens the escrow copy of a root key with the recovery key', () => {
    const root = randomBytes(16)
    const { transport, transportKey } = openEnvelope(fixture())
    const imported = fixture().token.importRoot(transport, keyWrap(transportKey, root))
    expect(keyUnwrap(storageKey(fixture(), 'escrow'), imported.escrow)).toEqual(root)
    expect(keyUnwrap(storageKey(fixture(), 'rootUse'), imported.rootUse)).toEqual(root)
  })

  it('has four storage keys of 256 bits that differ', () => {
    const keys = (['rootUse', 'session', 'binding', 'escrow'] as const).map((name) => storageKey(fixture(), name))
    expect(keys.map((key) => key.length)).toEqual([32, 32, 32, 32])
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(4)
  })

  it('accepts its own check values', () => {
    expect(() => {
      fixture().token.verifyCheckValues(fixture().created.checkValues)
    }).not.toThrow()
  })

  it.each<keyof CheckValues>([
    'rootUseSentinel',
    'rootUseCmac',
    'sessionSentinel',
    'sessionCmac',
    'bindingCmac',
    'escrowOfSentinel',
  ])('refuses check values with another %s', (name) => {
    const { token, created } = fixture()
    const changed = { ...created.checkValues, [name]: flipBit(created.checkValues[name], 5) }
    const cut = { ...created.checkValues, [name]: created.checkValues[name].subarray(8) }
    for (const wrong of [changed, cut])
      expect(
        refusal(() => {
          token.verifyCheckValues(wrong)
        }),
      ).toBe('token_failed')
  })
}
