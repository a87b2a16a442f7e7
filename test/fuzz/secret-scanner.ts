import type { Secrets } from '../support/memory.ts'
import { SecretSearch } from '../support/secret-search.ts'

const PREFIX_BYTES = 4
const TABLE_BITS = 16

/**
 * Looks for secrets in everything that is answered: raw, hex of either case, base64 in both alphabets. One look at a
 * table for each byte, because every answer passes here; what begins like a secret is then compared.
 */
export class SecretScanner {
  readonly #secrets: Secrets
  readonly #table = new Uint8Array(1 << TABLE_BITS)
  readonly #byPrefix = new Map<number, Buffer[]>()
  #search: SecretSearch | undefined

  constructor(secrets: Secrets) {
    this.#secrets = secrets
    for (const form of Array.from(secrets.values()).flatMap(formsOf)) {
      const prefix = form.readUInt32LE(0)
      this.#table[slotOf(prefix)] = 1
      this.#byPrefix.set(prefix, [...(this.#byPrefix.get(prefix) ?? []), form])
    }
  }

  /** Names of the secrets that occur in `bytes`. */
  find(bytes: Buffer): string[] {
    for (let at = 0; at + PREFIX_BYTES <= bytes.length; at++) {
      const prefix = bytes.readUInt32LE(at)
      if (this.#table[slotOf(prefix)] === 1 && this.#isSecretAt(bytes, at, prefix)) return this.#namesIn(bytes)
    }
    return []
  }

  #isSecretAt(bytes: Buffer, at: number, prefix: number): boolean {
    const forms = this.#byPrefix.get(prefix) ?? []
    return forms.some((form) => form.equals(bytes.subarray(at, at + form.length)))
  }

  #namesIn(bytes: Buffer): string[] {
    this.#search ??= new SecretSearch(this.#secrets)
    const found = this.#search.find(bytes)
    const names = Array.from(this.#secrets.keys()).filter((name) => found.some((hit) => hit.startsWith(`${name} `)))
    return names.length === 0 ? ['a secret in an unusual form'] : names
  }
}

/** Without the last character of base64, which the bytes that follow would change. */
function formsOf(secret: Buffer): Buffer[] {
  const hex = secret.toString('hex')
  const base64 = [secret.toString('base64'), secret.toString('base64url')].map((text) => text.replace(/.=*$/, ''))
  return [secret, ...[hex, hex.toUpperCase(), ...base64].map((text) => Buffer.from(text, 'latin1'))]
}

function slotOf(prefix: number): number {
  return Math.imul(prefix, 0x9e3779b1) >>> (32 - TABLE_BITS)
}
