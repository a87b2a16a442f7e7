import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ApiKeys, newApiKey } from '../../src/identity/index.ts'
import type { ApiKey } from '../../src/storage/index.ts'

describe('an API key', () => {
  const { token, apiKey } = newApiKey('test')
  const revoked = newApiKey('revoked')
  const stored: ApiKey[] = [apiKey, { ...revoked.apiKey, revokedAt: 1 }]
  const apiKeys = new ApiKeys({ findApiKey: (hash) => stored.find(({ tokenHash }) => tokenHash.equals(hash)) })

  it('is known by its token, of which only the hash is kept', () => {
    expect(apiKeys.authenticate(token)).toEqual(apiKey)
    expect(apiKey.tokenHash).toEqual(createHash('sha256').update(token).digest())
    expect(JSON.stringify(apiKey)).not.toContain(token)
  })

  it.each([
    ['revoked', revoked.token],
    ['never stored', newApiKey('other').token],
    ['truncated', token.slice(0, -1)],
    ['longer', `${token}A`],
    ['empty', ''],
    ['without its prefix', token.slice('mortise_'.length)],
  ])('is refused when it is %s', (_name, text) => {
    expect(apiKeys.authenticate(text)).toBeUndefined()
    expect(apiKeys.authenticate(token)).toBeDefined()
  })

  it('is refused when the database answers with another key', () => {
    const confused = new ApiKeys({ findApiKey: () => apiKey })
    expect(confused.authenticate(newApiKey('other').token)).toBeUndefined()
    expect(confused.authenticate(token)).toBeDefined()
  })
})
