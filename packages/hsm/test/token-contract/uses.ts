import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Token, TokenKey } from '../../src/token/token.ts'
import { block, importAndOpenKek, openEnvelope, refusal, storeAppSKey, type TokenFixture } from './fixture.ts'

/** A key does what it was opened for, and nothing else. */
export function useTests(fixture: () => TokenFixture): void {
  const input = Buffer.alloc(16)
  type Act = (token: Token, keys: Keys) => unknown
  it.each<[string, Act, Act]>([
    ['reading a key to wrap', (t, k) => t.read(k.toWrap), (t, k) => t.read(k.toRead)],
    ['reading a root key', (t, k) => t.read(k.root), (t, k) => t.read(k.toRead)],
    ['reading a stored AppSKey', (t, k) => t.read(k.appSKey), (t, k) => t.wrap(k.kek, k.appSKey)],
    ['reading a KEK', (t, k) => t.read(k.kek), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping under a root key', (t, k) => t.wrap(k.root, k.toWrap), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping under a session key', (t, k) => t.wrap(k.toRead, k.toWrap), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping a root key', (t, k) => t.wrap(k.kek, k.root), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping JSIntKey', (t, k) => t.wrap(k.kek, k.toMac), (t, k) => t.cmac(k.toMac, input)],
    ['wrapping JSEncKey', (t, k) => t.wrap(k.kek, k.toDecrypt), (t, k) => t.decryptBlocks(k.toDecrypt, input)],
    ['storing a root key', (t, k) => t.wrapForStorage(k.root), (t, k) => t.wrapForStorage(k.toWrap)],
    ['storing JSIntKey', (t, k) => t.wrapForStorage(k.toMac), (t, k) => t.wrapForStorage(k.toRead)],
    ['deriving from a KEK', (t, k) => t.derive(k.kek, input, 'wrap'), (t, k) => t.derive(k.root, input, 'wrap')],
    [
      'deriving from a session key',
      (t, k) => t.derive(k.toWrap, input, 'read'),
      (t, k) => t.derive(k.root, input, 'read'),
    ],
    ['a CMAC under a KEK', (t, k) => t.cmac(k.kek, input), (t, k) => t.cmac(k.root, input)],
    ['a CMAC under a key to wrap', (t, k) => t.cmac(k.toWrap, input), (t, k) => t.cmac(k.toMac, input)],
    ['decryption under a KEK', (t, k) => t.decryptBlocks(k.kek, input), (t, k) => t.decryptBlocks(k.root, input)],
    [
      'decryption under a key to wrap',
      (t, k) => t.decryptBlocks(k.toWrap, input),
      (t, k) => t.decryptBlocks(k.toDecrypt, input),
    ],
    ['reading a transport key', (t, k) => t.read(k.transport), (t, k) => t.read(k.toRead)],
  ])('refuses %s', (_name, refused, accepted) => {
    const { token } = fixture()
    const keys = openKeys(fixture())
    expect(refusal(() => refused(token, keys))).toBe('token_failed')
    expect(() => accepted(token, keys)).not.toThrow()
  })

  it('refuses a key that was closed', () => {
    const { token } = fixture()
    const keys = openKeys(fixture())
    expect(token.read(keys.toRead)).toHaveLength(16)
    token.close(keys.toRead)
    expect(refusal(() => token.read(keys.toRead))).toBe('token_failed')
    token.close(keys.root)
    expect(refusal(() => token.cmac(keys.root, input))).toBe('token_failed')
    expect(() => token.cmac(keys.toMac, input)).not.toThrow()
  })
}

interface Keys {
  root: TokenKey
  kek: TokenKey
  transport: TokenKey
  appSKey: TokenKey
  toWrap: TokenKey
  toRead: TokenKey
  toMac: TokenKey
  toDecrypt: TokenKey
}

function openKeys(fixture: TokenFixture): Keys {
  const { token } = fixture
  const root = token.openRoot(token.generateRoot().rootUse)
  return {
    root,
    kek: importAndOpenKek(fixture, randomBytes(16)),
    transport: openEnvelope(fixture).transport,
    appSKey: token.openAppSKey(storeAppSKey(token)),
    toWrap: token.derive(root, block('02'), 'wrap'),
    toRead: token.derive(root, block('01'), 'read'),
    toMac: token.derive(root, block('06'), 'mac'),
    toDecrypt: token.derive(root, block('05'), 'decrypt'),
  }
}
