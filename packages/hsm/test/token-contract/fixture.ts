import { randomBytes } from 'node:crypto'
import { HsmError, type HsmErrorCode } from '../../src/errors.ts'
import type { CreatedToken, Token, TokenKey } from '../../src/token/token.ts'
import { keyUnwrap, keyWrap, sealTransport } from '../soft/crypto-oracle.ts'

/** One token with fresh keys. */
export interface TokenFixture {
  readonly token: Token
  readonly created: CreatedToken<unknown>
  readonly recoveryKey: Buffer
  /** Opens the same keys again; the test has disposed of `token` before, and disposes of the result. */
  reopen(): Promise<Token>
  dispose(): Promise<void>
}

export function hex(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

/** A derivation block: the parts in hex, then zeros. */
export function block(...parts: string[]): Buffer {
  const result = Buffer.alloc(16)
  hex(parts.join('')).copy(result)
  return result
}

export function derived(token: Token, root: TokenKey, input: Buffer): string {
  const key = token.derive(root, input, 'read')
  try {
    return token.read(key).toString('hex')
  } finally {
    token.close(key)
  }
}

export function storageKey(
  { created, recoveryKey }: TokenFixture,
  name: keyof CreatedToken<unknown>['recovery'],
): Buffer {
  return keyUnwrap(recoveryKey, created.recovery[name])
}

export function openEnvelope({ token, created }: TokenFixture): { transport: TokenKey; transportKey: Buffer } {
  const transportKey = randomBytes(32)
  return { transport: token.openTransport(sealTransport(created.importPublicKey, transportKey)), transportKey }
}

export function importAndOpen(fixture: TokenFixture, root: Buffer): TokenKey {
  const { transport, transportKey } = openEnvelope(fixture)
  const { rootUse } = fixture.token.importRoot(transport, keyWrap(transportKey, root))
  fixture.token.close(transport)
  return fixture.token.openRoot(rootUse)
}

export function importKek(fixture: TokenFixture, kek: Buffer): Buffer {
  const { transport, transportKey } = openEnvelope(fixture)
  return fixture.token.importKek(transport, keyWrap(transportKey, kek))
}

export function importAndOpenKek(fixture: TokenFixture, kek: Buffer): TokenKey {
  return fixture.token.openKek(importKek(fixture, kek))
}

export function storeAppSKey(token: Token): Buffer {
  return token.wrapForStorage(token.derive(token.openRoot(token.generateRoot().rootUse), block('02'), 'wrap'))
}

export function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return flipped
}

/** The code with which the token refuses, or `undefined` if it does not. */
export function refusal(act: () => unknown): HsmErrorCode | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof HsmError) return error.code
    throw error
  }
}
