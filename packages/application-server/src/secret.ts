import { ApplicationServerError } from './errors.ts'

const PLACEHOLDER = '[secret]'

/** `inspect.custom` of node:util, by its public name: in a browser nobody asks for it. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * Key bytes that refuse to print: text, JSON and inspection give a placeholder. The bytes are copied in, lent to `use`
 * alone, and wiped by disposal. JavaScript cannot promise that no other copy was ever made.
 */
export class Secret implements Disposable {
  #bytes: Uint8Array | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = new Uint8Array(bytes)
  }

  /**
   * Lends the bytes to `fn`, which must neither keep nor change them.
   * @throws {ApplicationServerError} `secret_disposed`
   */
  use<Result>(fn: (bytes: Uint8Array) => Result): Result {
    if (this.#bytes === undefined) throw new ApplicationServerError('secret_disposed', 'This key has been wiped.')
    return fn(this.#bytes)
  }

  toJSON(): string {
    return PLACEHOLDER
  }

  toString(): string {
    return PLACEHOLDER
  }

  [INSPECT](): string {
    return PLACEHOLDER
  }

  [Symbol.dispose](): void {
    this.#bytes?.fill(0)
    this.#bytes = undefined
  }
}
