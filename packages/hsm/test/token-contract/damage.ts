import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Token, TokenKey } from '../../src/token/token.ts'
import { keyWrap, sealTransport } from '../soft/crypto-oracle.ts'
import { flipBit, importKek, openEnvelope, refusal, storeAppSKey, type TokenFixture } from './fixture.ts'

/** Blobs, envelopes and inputs that no token takes. */
export function damageTests(fixture: () => TokenFixture): void {
  type Open = (token: Token, blob: Buffer) => unknown
  const blobs: [string, (token: Token) => Buffer, Open][] = [
    ['openRoot', (token) => token.generateRoot().rootUse, (token, blob) => token.openRoot(blob)],
    ['openKek', () => importKek(fixture(), randomBytes(24)), (token, blob) => token.openKek(blob)],
    ['openAppSKey', (token) => storeAppSKey(token), (token, blob) => token.openAppSKey(blob)],
  ]
  it.each(blobs)('%s refuses a blob with any bit flipped, and goes on working', (_name, makeBlob, open) => {
    const { token } = fixture()
    const blob = makeBlob(token)
    expect(() => open(token, blob)).not.toThrow()
    for (let bit = 0; bit < 8 * blob.length; bit++)
      expect(refusal(() => open(token, flipBit(blob, bit)))).toBe('key_blob_damaged')
    expect(() => open(token, blob)).not.toThrow()
  })

  it.each(blobs)('%s refuses a blob of wrong length', (_name, makeBlob, open) => {
    const { token } = fixture()
    const blob = makeBlob(token)
    for (const wrong of [Buffer.alloc(0), blob.subarray(0, 16), blob.subarray(8), Buffer.concat([blob, blob])])
      expect(refusal(() => open(token, wrong))).toBe('key_blob_damaged')
    expect(() => open(token, blob)).not.toThrow()
  })

  it('refuses a blob that lies under another storage key', () => {
    const { token } = fixture()
    const { rootUse, escrow } = token.generateRoot()
    expect(refusal(() => token.openRoot(escrow))).toBe('key_blob_damaged')
    expect(refusal(() => token.openRoot(storeAppSKey(token)))).toBe('key_blob_damaged')
    expect(refusal(() => token.openAppSKey(rootUse))).toBe('key_blob_damaged')
    expect(refusal(() => token.openKek(rootUse))).toBe('key_blob_damaged')
    expect(() => token.openRoot(rootUse)).not.toThrow()
  })

  it('refuses a damaged envelope, and then takes the whole one', () => {
    const { token, created } = fixture()
    const ciphertext = sealTransport(created.importPublicKey, randomBytes(32))
    const damaged = [0, 8, 1000, 8 * ciphertext.length - 1].map((bit) => flipBit(ciphertext, bit))
    const wrongLength = [Buffer.alloc(0), ciphertext.subarray(1), Buffer.concat([ciphertext, Buffer.alloc(1)])]
    for (const wrong of [...damaged, ...wrongLength])
      expect(refusal(() => token.openTransport(wrong))).toBe('envelope_damaged')
    expect(() => token.openTransport(ciphertext)).not.toThrow()
  })

  it('refuses a key in an envelope that is damaged, of another size or under another transport key', () => {
    const { token } = fixture()
    const { transport, transportKey } = openEnvelope(fixture())
    const root = keyWrap(transportKey, randomBytes(16))
    const kek = keyWrap(transportKey, randomBytes(32))
    const foreign = keyWrap(randomBytes(32), randomBytes(16))
    for (const wrong of [flipBit(root, 0), flipBit(root, 191), foreign, kek, root.subarray(8), Buffer.alloc(0)])
      expect(refusal(() => token.importRoot(transport, wrong))).toBe('envelope_damaged')
    for (const wrong of [flipBit(kek, 7), foreign, kek.subarray(8, 24), Buffer.concat([kek, kek]), Buffer.alloc(0)])
      expect(refusal(() => token.importKek(transport, wrong))).toBe('envelope_damaged')
    expect(() => token.importRoot(transport, root)).not.toThrow()
    expect(() => token.importKek(transport, kek)).not.toThrow()
  })

  it.each<[string, (token: Token, root: TokenKey) => unknown, (token: Token, root: TokenKey) => unknown]>([
    ['an empty CMAC', (token, root) => token.cmac(root, EMPTY), (token, root) => token.cmac(root, Buffer.of(0))],
    ['an empty tag', (token) => token.tag(EMPTY), (token) => token.tag(Buffer.of(0))],
    [
      'a derivation from 15 bytes',
      (token, root) => token.derive(root, Buffer.alloc(15), 'wrap'),
      (token, root) => token.derive(root, Buffer.alloc(16), 'wrap'),
    ],
    [
      'a derivation from 32 bytes',
      (token, root) => token.derive(root, Buffer.alloc(32), 'wrap'),
      (token, root) => token.derive(root, Buffer.alloc(16), 'read'),
    ],
    [
      'the decryption of 17 bytes',
      (token, root) => token.decryptBlocks(root, Buffer.alloc(17)),
      (token, root) => token.decryptBlocks(root, Buffer.alloc(32)),
    ],
    [
      'the decryption of nothing',
      (token, root) => token.decryptBlocks(root, EMPTY),
      (token, root) => token.decryptBlocks(root, Buffer.alloc(16)),
    ],
  ])('refuses %s', (_name, refused, accepted) => {
    const { token } = fixture()
    const root = token.openRoot(token.generateRoot().rootUse)
    expect(refusal(() => refused(token, root))).toBe('token_failed')
    expect(() => accepted(token, root)).not.toThrow()
  })
}

const EMPTY = Buffer.alloc(0)
