import { hexToBytes } from '@mortise/lorawan'

export type MembersErrorCode = 'json_malformed' | 'member_malformed'

/** A JSON text or one of its members has not the form that is asked for. */
export class MembersError extends Error {
  override readonly name = 'MembersError'
  readonly code: MembersErrorCode

  constructor(code: MembersErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** The members of a JSON object, read by name and type. Messages name the member and never repeat its value. */
export class Members {
  readonly #object: Readonly<Record<string, unknown>>

  private constructor(object: Readonly<Record<string, unknown>>) {
    this.#object = object
  }

  /** @throws {MembersError} `json_malformed`: not the JSON text of an object */
  static parse(json: string): Members {
    let value: unknown
    try {
      value = JSON.parse(json)
    } catch {
      // The error of JSON.parse quotes the text.
      throw new MembersError('json_malformed', 'This is not JSON.')
    }
    if (!isObject(value)) throw new MembersError('json_malformed', 'This is not a JSON object.')
    return new Members(value)
  }

  names(): string[] {
    return Object.keys(this.#object)
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] !== null
  }

  /** @throws {MembersError} `member_malformed` */
  text(name: string): string {
    const value = this.#own(name)
    if (typeof value !== 'string') throw malformed(name, 'text')
    return value
  }

  /** @throws {MembersError} `member_malformed` */
  number(name: string): number {
    const value = this.#own(name)
    if (typeof value !== 'number') throw malformed(name, 'a number')
    return value
  }

  /** @throws {MembersError} `member_malformed` */
  flag(name: string): boolean {
    const value = this.#own(name)
    if (typeof value !== 'boolean') throw malformed(name, 'true or false')
    return value
  }

  /** @throws {MembersError} `member_malformed` */
  bytes(name: string): Uint8Array {
    const text = this.text(name)
    try {
      return hexToBytes(text)
    } catch {
      throw malformed(name, 'hexadecimal')
    }
  }

  /** @throws {MembersError} `member_malformed` */
  object(name: string): Members {
    const value = this.#own(name)
    if (!isObject(value)) throw malformed(name, 'an object')
    return new Members(value)
  }

  /** The objects of a list; none when it is absent. @throws {MembersError} `member_malformed` */
  objects(name: string): Members[] {
    const value = this.#own(name) ?? []
    if (!Array.isArray(value) || !value.every(isObject)) throw malformed(name, 'a list of objects')
    return value.map((item) => new Members(item))
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#object, name) ? this.#object[name] : undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(name: string, form: string): MembersError {
  return new MembersError('member_malformed', `${name} must be ${form}.`)
}
