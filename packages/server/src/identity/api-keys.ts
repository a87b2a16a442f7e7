import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { AdministrationReader, ApiKey } from '../storage/index.ts'

/** What a token begins with, so that a scanner finds one that was published by mistake. */
const TOKEN_PREFIX = 'mortise_'
const TOKEN_BYTES = 32
const API_KEY_ID_BYTES = 8
const TOKEN_TEXT = /^mortise_[A-Za-z0-9_-]{43}$/

/** A new API key: the token is shown once and never kept, the database gets its hash. */
export interface NewApiKey {
  /** `mortise_` and 32 random bytes in base64url. */
  readonly token: string
  readonly apiKey: ApiKey
}

/** Makes an API key. It is of no use before `createApiKey` of the database has stored it. */
export function newApiKey(name: string, now = Date.now()): NewApiKey {
  const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
  const apiKeyId = randomBytes(API_KEY_ID_BYTES).toString('hex')
  return { token, apiKey: { apiKeyId, name, tokenHash: hashToken(token), createdAt: now, revokedAt: undefined } }
}

/** Whose token it is. */
export class ApiKeys {
  readonly #storage: Pick<AdministrationReader, 'findApiKey'>

  constructor(storage: Pick<AdministrationReader, 'findApiKey'>) {
    this.#storage = storage
  }

  /** The key that has this token and is not revoked; undefined for anything else. */
  authenticate(token: string): ApiKey | undefined {
    if (!TOKEN_TEXT.test(token)) return undefined
    const hash = hashToken(token)
    // The index compares hashes, of which a guess says nothing about the token; the answer is compared once more.
    const apiKey = this.#storage.findApiKey(hash)
    if (apiKey === undefined || !timingSafeEqual(apiKey.tokenHash, hash)) return undefined
    return apiKey.revokedAt === undefined ? apiKey : undefined
  }
}

/** SHA-256: a token is 256 random bits, so that it needs no slow hash. */
function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
