import { HsmError } from '../errors.ts'

/** Appends numbers (big-endian) and length-prefixed byte strings to one growing buffer. */
export class WireWriter {
  #buffer: Buffer
  #length = 0

  constructor(capacity = 512) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  uint8(value: number): this {
    this.#length = this.#reserve(1).writeUInt8(value, this.#length)
    return this
  }

  uint16(value: number): this {
    this.#length = this.#reserve(2).writeUInt16BE(value, this.#length)
    return this
  }

  uint32(value: number): this {
    this.#length = this.#reserve(4).writeUInt32BE(value, this.#length)
    return this
  }

  uint48(value: number): this {
    this.#length = this.#reserve(6).writeUIntBE(value, this.#length, 6)
    return this
  }

  /** Bytes of a size that both sides know. */
  fixed(bytes: Uint8Array): this {
    this.#reserve(bytes.length).set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** Length (4 bytes) and bytes; an absent value is written as length 0. */
  bytes(bytes: Uint8Array | undefined): this {
    if (bytes === undefined) return this.uint32(0)
    return this.uint32(bytes.length).fixed(bytes)
  }

  text(text: string): this {
    return this.bytes(Buffer.from(text))
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(bytes: number): Buffer {
    const needed = this.#length + bytes
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    return this.#buffer
  }
}

/** Reads what {@link WireWriter} wrote; every short read is `frame_malformed`. Byte strings are views. */
export class WireReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1))
  }

  /** One byte, 0 or 1. */
  flag(): boolean {
    const value = this.uint8()
    if (value > 1) throw new HsmError('frame_malformed', 'flag')
    return value === 1
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2))
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  uint48(): number {
    return this.#bytes.readUIntBE(this.#advance(6), 6)
  }

  fixed(length: number): Buffer {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  bytes(): Buffer {
    return this.fixed(this.uint32())
  }

  optionalBytes(): Buffer | undefined {
    const value = this.bytes()
    return value.length === 0 ? undefined : value
  }

  text(): string {
    return this.bytes().toString()
  }

  /** `count` values. A count that the bytes do not bear out fails at the first missing one, before anything is allocated. */
  list<Value>(count: number, read: () => Value): Value[] {
    const values: Value[] = []
    while (values.length < count) values.push(read())
    return values
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw new HsmError('frame_malformed', 'trailing bytes')
  }

  #advance(bytes: number): number {
    const start = this.#offset
    if (start + bytes > this.#bytes.length) throw new HsmError('frame_malformed', 'too short')
    this.#offset = start + bytes
    return start
  }
}
