import type { Token, TokenKey } from '../token/token.ts'

/** The token keys of one operation; all are closed together, also when it fails half way. */
export class KeyScope {
  readonly #token: Token
  readonly #keys: TokenKey[] = []

  constructor(token: Token) {
    this.#token = token
  }

  hold(key: TokenKey): TokenKey {
    this.#keys.push(key)
    return key
  }

  close(): void {
    for (const key of this.#keys) this.#token.close(key)
  }
}

/** Runs `operation` with a scope and closes its keys afterwards. */
export function withKeys<Result>(token: Token, operation: (keys: KeyScope) => Result): Result {
  const keys = new KeyScope(token)
  try {
    return operation(keys)
  } finally {
    keys.close()
  }
}
