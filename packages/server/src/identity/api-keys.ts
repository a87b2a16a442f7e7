import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { AdministrationReader, ApiKey } from '../storage/index.ts'
import { hashSecret, isToken, newToken } from './tokens.ts'

const API_KEY_ID_BYTES = 8

/** A new API key: the token is shown once and never kept, the database gets its hash. */
export interface NewApiKey {
  /** `mortise_` and 32 random bytes in base64url. */
  readonly token: string
  readonly apiKey: ApiKey
}

/** Makes an API key. It is of no use before `createApiKey` of the database has stored it. */
export function newApiKey(name: string, now = Date.now()): NewApiKey {
  const token = newToken()
  const apiKeyId = randomBytes(API_KEY_ID_BYTES).toString('hex')
  return { token, apiKey: { apiKeyId, name, tokenHash: hashSecret(token), createdAt: now, revokedAt: undefined } }
}

/** Whose token it is. */
export class ApiKeys {
  readonly #storage: Pick<AdministrationReader, 'findApiKey'>

  constructor(storage: Pick<AdministrationReader, 'findApiKey'>) {
    this.#storage = storage
  }

  /** The key that has this token and is not revoked; undefined for anything else. */
  authenticate(token: string): ApiKey | undefined {
    if (!isToken(token)) return undefined
    const hash = hashSecret(token)
    // The index compares hashes, of which a guess says nothing about the token; the answer is compared once more.
    const apiKey = this.#storage.findApiKey(hash)
    if (apiKey === undefined || !timingSafeEqual(apiKey.tokenHash, hash)) return undefined
    return apiKey.revokedAt === undefined ? apiKey : undefined
  }
}
