import { openToken } from '../token/open-token.ts'
import type { Token } from '../token/token.ts'
import { toBuffer, type WorkerStart } from './messages.ts'

/**
 * Opens the token that a worker is started with, and tests its storage keys by known answers.
 * @throws HsmError token_failed
 */
export function startToken({ backend, pin, checkValues }: WorkerStart): Token {
  const token = openToken(reviveBuffers(backend), pin && toBuffer(pin))
  token.verifyCheckValues(reviveBuffers(checkValues))
  return token
}

function reviveBuffers<T extends object>(value: T): T {
  const revived = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name,
    member instanceof Uint8Array ? toBuffer(member) : member,
  ])
  return Object.fromEntries(revived) as T
}
