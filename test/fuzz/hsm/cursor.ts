/** The bytes end before what should be read. */
export class ShortError extends Error {
  override readonly name = 'ShortError'
}

/** Reads what crosses the sockets of the trust boundary (ADR 002): big-endian numbers, and bytes behind their length. */
export class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  take(length: number): Buffer {
    const start = this.#at
    if (start + length > this.#bytes.length) throw new ShortError()
    this.#at += length
    return this.#bytes.subarray(start, this.#at)
  }

  number(bytes: 1 | 2 | 4 | 6): number {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  bytes(): Buffer {
    return this.take(this.number(4))
  }

  /** Length 0 stands for absence. */
  optional(): Buffer | undefined {
    const bytes = this.bytes()
    return bytes.length === 0 ? undefined : bytes
  }

  many<Value>(count: number, read: () => Value): Value[] {
    return Array.from({ length: Math.min(count, this.#bytes.length + 1) }, read)
  }
}

/** What `read` makes of all of the bytes; undefined when they are too few or too many. */
export function readAll<Value>(bytes: Buffer, read: (cursor: Cursor) => Value): Value | undefined {
  const cursor = new Cursor(bytes)
  try {
    const value = read(cursor)
    return cursor.atEnd ? value : undefined
  } catch (error) {
    if (error instanceof ShortError) return undefined
    throw error
  }
}

/** Bytes behind their length. */
export function prefixed(bytes: Buffer | undefined): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes?.length ?? 0)
  return Buffer.concat([length, bytes ?? Buffer.alloc(0)])
}

export function bigEndian(bytes: number, value: number): Buffer {
  const number = Buffer.alloc(bytes)
  number.writeUIntBE(value, 0, bytes)
  return number
}
