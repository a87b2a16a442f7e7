import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { expect, it } from 'vitest'
import { aesBlock, aesCmac, keyWrap } from '../soft/crypto-oracle.ts'
import { block, importAndOpen, importAndOpenKek, storageKey, type TokenFixture } from './fixture.ts'

/** Each primitive alone. */
export function primitiveTests(fixture: () => TokenFixture): void {
  it('makes CMACs of every length up to four blocks, with keys used in turn', () => {
    const { token } = fixture()
    const bytes = [randomBytes(16), randomBytes(16)]
    const keys = bytes.map((key) => importAndOpen(fixture(), key))
    for (let length = 1; length <= 65; length++) {
      const message = randomBytes(length)
      expect(keys.map((key) => token.cmac(key, message))).toEqual(bytes.map((key) => aesCmac(key, message)))
    }
  })

  it.each([1, 15, 16, 17, 110, 200, 4080])('tags %i bytes with the binding key, the same way every time', (length) => {
    const { token } = fixture()
    const message = randomBytes(length)
    const expected = aesCmac(storageKey(fixture(), 'binding'), message)
    expect(token.tag(message)).toEqual(expected)
    expect(token.tag(message)).toEqual(expected)
  })

  it.each([16, 24, 32])('wraps under a KEK of %i bytes', (size) => {
    const { token } = fixture()
    const kekBytes = randomBytes(size)
    const rootBytes = randomBytes(16)
    const kek = importAndOpenKek(fixture(), kekBytes)
    const key = token.derive(importAndOpen(fixture(), rootBytes), block('02'), 'wrap')
    expect(token.wrap(kek, key)).toEqual(keyWrap(kekBytes, aesBlock(rootBytes, block('02'))))
    expect(token.wrap(kek, key)).toHaveLength(24)
  })

  it('opens a stored AppSKey, which can be wrapped for another recipient', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const kekBytes = randomBytes(16)
    const stored = token.wrapForStorage(token.derive(importAndOpen(fixture(), rootBytes), block('02'), 'wrap'))
    const appSKey = token.openAppSKey(stored)
    expect(token.wrap(importAndOpenKek(fixture(), kekBytes), appSKey)).toEqual(
      keyWrap(kekBytes, aesBlock(rootBytes, block('02'))),
    )
    expect(token.wrapForStorage(appSKey)).toEqual(stored)
  })

  it('signs with the receipt key', () => {
    const { token, created } = fixture()
    const publicKey = createPublicKey({ key: created.receiptPublicKey, format: 'der', type: 'spki' })
    const head = randomBytes(120)
    const signature = token.sign(head)
    expect(publicKey.asymmetricKeyType).toBe('ed25519')
    expect(signature).toHaveLength(64)
    expect(verify(null, head, publicKey, signature)).toBe(true)
    expect(verify(null, Buffer.concat([head, Buffer.of(0)]), publicKey, signature)).toBe(false)
  })

  it('counts the objects that it makes', () => {
    const { token } = fixture()
    const { rootUse } = token.generateRoot()
    const before = token.objectsMade
    const root = token.openRoot(rootUse)
    token.close(token.derive(root, block('01'), 'wrap'))
    token.close(root)
    expect(token.objectsMade - before).toBeGreaterThanOrEqual(2)
  })
}
