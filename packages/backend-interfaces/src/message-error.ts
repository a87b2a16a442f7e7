import type { FailureCode } from './result-codes.ts'

/** A request that is understood well enough to be refused; `description` goes to the peer and holds no secret. */
export class MessageError extends Error {
  override readonly name = 'MessageError'
  readonly code: FailureCode
  readonly description: string

  constructor(code: FailureCode, description: string) {
    super(`${code}: ${description}`)
    this.code = code
    this.description = description
  }
}
