import { HsmError, type HsmErrorCode } from './errors.ts'

/**
 * The members of one JSON object. Each is taken once and strictly, and {@link end} refuses what is left over. Every
 * refusal has the code given, `store_damaged` or `order_malformed`, and names the member; never its value.
 */
export class Members {
  readonly #where: string
  readonly #code: HsmErrorCode
  readonly #members: Map<string, unknown>

  constructor(value: unknown, where: string, code: HsmErrorCode = 'store_damaged') {
    this.#where = where
    this.#code = code
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new HsmError(code, `${where}: not an object`)
    this.#members = new Map(Object.entries(value))
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** A member that stays to be taken. */
  peek(name: string): unknown {
    return this.#members.get(name)
  }

  /** Takes a member that is `null`, and says whether it is; another stays. */
  takeNull(name: string): boolean {
    if (this.#members.get(name) !== null) return false
    this.#members.delete(name)
    return true
  }

  text(name: string): string {
    const value = this.#take(name)
    return typeof value === 'string' ? value : this.fail(name)
  }

  /** RFC 3339, UTC, as `Date.toISOString` writes it. */
  time(name: string): string {
    const value = this.text(name)
    const time = Date.parse(value)
    return !Number.isNaN(time) && new Date(time).toISOString() === value ? value : this.fail(name)
  }

  /** Lower-case hex of exactly `size` bytes. */
  hex(name: string, size: number): string {
    const value = this.text(name)
    return value.length === 2 * size && /^[0-9a-f]*$/.test(value) ? value : this.fail(name)
  }

  hexBytes(name: string, size: number): Buffer {
    return Buffer.from(this.hex(name, size), 'hex')
  }

  /** Base64 with one text per value, of `size` bytes if given. */
  base64(name: string, size?: number): Buffer {
    const value = this.text(name)
    const bytes = Buffer.from(value, 'base64')
    if (bytes.toString('base64') !== value || (size !== undefined && bytes.length !== size)) return this.fail(name)
    return bytes
  }

  integer(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#take(name)
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : this.fail(name)
  }

  boolean(name: string): boolean {
    const value = this.#take(name)
    return typeof value === 'boolean' ? value : this.fail(name)
  }

  list(name: string, limit: number): unknown[] {
    const value: unknown = this.#take(name)
    return Array.isArray(value) && value.length <= limit ? value : this.fail(name)
  }

  object(name: string): Members {
    return new Members(this.#take(name), `${this.#where}.${name}`, this.#code)
  }

  end(): void {
    if (this.#members.size > 0) this.fail('unknown member')
  }

  fail(member: string): never {
    throw new HsmError(this.#code, `${this.#where}: ${member}`)
  }

  #take(name: string): unknown {
    const value = this.#members.get(name)
    this.#members.delete(name)
    return value
  }
}

/** Parses a JSON object. */
export function parseMembers(bytes: Buffer, where: string, code: HsmErrorCode = 'store_damaged'): Members {
  try {
    return new Members(JSON.parse(bytes.toString('utf8')), where, code)
  } catch (error) {
    if (error instanceof HsmError) throw error
    // The parser's own message quotes the text, which may hold keys.
    throw new HsmError(code, `${where}: not JSON`)
  }
}
