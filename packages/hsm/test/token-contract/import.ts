import { createPublicKey, randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { aesCmac, keyUnwrap, keyWrap } from '../soft/crypto-oracle.ts'
import { openEnvelope, storageKey, type TokenFixture } from './fixture.ts'

/** Keys that come in an envelope, and keys that the token makes. */
export function importTests(fixture: () => TokenFixture): void {
  it('has an import key of RSA-3072', () => {
    const key = createPublicKey({ key: fixture().created.importPublicKey, format: 'der', type: 'spki' })
    expect(key.asymmetricKeyType).toBe('rsa')
    expect(key.asymmetricKeyDetails?.modulusLength).toBe(3072)
  })

  it('takes many keys out of one envelope', () => {
    const { token } = fixture()
    const { transport, transportKey } = openEnvelope(fixture())
    const roots = [randomBytes(16), randomBytes(16)]
    const kek = randomBytes(32)
    const wrapped = roots.map((root) => token.importRoot(transport, keyWrap(transportKey, root)))
    expect(wrapped.map(({ rootUse }) => rootUse)).toEqual(
      roots.map((root) => keyWrap(storageKey(fixture(), 'rootUse'), root)),
    )
    expect(token.importKek(transport, keyWrap(transportKey, kek))).toEqual(
      keyWrap(storageKey(fixture(), 'session'), kek),
    )
  })

  it('generates a root key that differs every time and is kept under root-use and under escrow', () => {
    const { token } = fixture()
    const made = [token.generateRoot(), token.generateRoot()]
    expect(made[0]).not.toEqual(made[1])
    for (const { rootUse, escrow } of made) {
      const key = keyUnwrap(storageKey(fixture(), 'escrow'), escrow)
      expect(key).toHaveLength(16)
      expect(token.cmac(token.openRoot(rootUse), Buffer.of(1))).toEqual(aesCmac(key, Buffer.of(1)))
    }
  })
}
