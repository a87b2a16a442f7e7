import type { ApiKey } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, optional, type Row, text } from './row.ts'

export class ApiKeyTable {
  readonly #list: Statement
  readonly #find: Statement
  readonly #insert: Statement
  readonly #revoke: Statement

  constructor(connection: Connection) {
    this.#list = connection.prepare('SELECT * FROM api_key ORDER BY created_at, api_key_id')
    this.#find = connection.prepare('SELECT * FROM api_key WHERE token_hash = ?')
    this.#insert = connection.prepare(
      `INSERT INTO api_key (organisation, api_key_id, name, token_hash, created_at, revoked_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
    )
    this.#revoke = connection.prepare('UPDATE api_key SET revoked_at = ? WHERE api_key_id = ? AND revoked_at IS NULL')
  }

  list(): ApiKey[] {
    return this.#list.all().map(toApiKey)
  }

  find(tokenHash: Buffer): ApiKey | undefined {
    const row = this.#find.get(tokenHash)
    return row && toApiKey(row)
  }

  create({ apiKeyId, name, tokenHash, createdAt, revokedAt }: ApiKey): void {
    this.#insert.run(DEFAULT_ORGANISATION, apiKeyId, name, tokenHash, createdAt, revokedAt ?? null)
  }

  /** False when there is no such key, or when it was revoked before. */
  revoke(apiKeyId: string): boolean {
    return this.#revoke.run(Date.now(), apiKeyId) === 1
  }
}

function toApiKey(row: Row): ApiKey {
  return {
    apiKeyId: text(row, 'api_key_id'),
    name: text(row, 'name'),
    tokenHash: blob(row, 'token_hash'),
    createdAt: integer(row, 'created_at'),
    revokedAt: optional(row, 'revoked_at', integer),
  }
}
