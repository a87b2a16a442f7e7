import { createHash, randomBytes } from 'node:crypto'

/** What a token begins with, so that a scanner finds one that was published by mistake. */
const TOKEN_PREFIX = 'mortise_'
const TOKEN_BYTES = 32
const TOKEN_TEXT = /^mortise_[A-Za-z0-9_-]{43}$/

/** A new secret: `mortise_` and 32 random bytes in base64url. */
export function newToken(): string {
  return TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
}

export function isToken(text: string): boolean {
  return TOKEN_TEXT.test(text)
}

/** SHA-256, in place of what holds a token: that is 256 random bits, so that it needs no slow hash. */
export function hashSecret(text: string): Buffer {
  // One byte a character, as HTTP headers have them.
  return createHash('sha256').update(text, 'latin1').digest()
}
