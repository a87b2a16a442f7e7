import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { Token } from '../../src/token/token.ts'
import { keyWrap, sealTransport } from '../soft/crypto-oracle.ts'
import { block, importKek, refusal, type TokenFixture } from './fixture.ts'

/** A token that was disposed of does nothing; opened again it has the same keys. */
export async function reopeningTest(own: TokenFixture): Promise<void> {
  const { rootUse } = own.token.generateRoot()
  const kekBlob = importKek(own, randomBytes(16))
  const answers = (token: Token) => {
    const root = token.openRoot(rootUse)
    const key = token.derive(root, block('02'), 'wrap')
    return [token.tag(rootUse), token.cmac(root, kekBlob), token.wrap(token.openKek(kekBlob), key), token.sign(rootUse)]
  }
  const before = answers(own.token)
  own.token[Symbol.dispose]()
  expect(refusal(() => own.token.tag(rootUse))).toBe('token_failed')
  expect(refusal(() => own.token.openRoot(rootUse))).toBe('token_failed')
  using reopened = await own.reopen()
  reopened.verifyCheckValues(own.created.checkValues)
  expect(answers(reopened)).toEqual(before)
  const transport = reopened.openTransport(sealTransport(own.created.importPublicKey, Buffer.alloc(32, 7)))
  expect(reopened.importRoot(transport, keyWrap(Buffer.alloc(32, 7), randomBytes(16))).rootUse).toHaveLength(24)
}
