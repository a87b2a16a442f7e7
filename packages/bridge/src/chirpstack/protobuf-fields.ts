/**
 * The encoded fields of a message, without those of some numbers. Taken apart here, because the generated classes drop
 * fields that they do not know, which a newer ChirpStack may send (protobuf encoding: a tag is a varint of number and
 * wire type, https://protobuf.dev/programming-guides/encoding/).
 * @throws {RangeError} when it is no message of Protobuf
 */
export function withoutFields(message: Uint8Array, numbers: readonly number[]): Uint8Array {
  const kept = fieldsOf(message).filter(({ number }) => !numbers.includes(number))
  return Buffer.concat(kept.map(({ start, end }) => message.subarray(start, end)))
}

/** The bytes of an embedded message, the last one of that number. @throws {RangeError} */
export function embeddedMessage(message: Uint8Array, number: number): Uint8Array | undefined {
  return embeddedMessages(message, number).at(-1)
}

/**
 * Whether members of a google.protobuf.Struct are nested deeper than so many levels. The generated classes take time with
 * the square of that: seconds for some kilobytes.
 * @throws {RangeError} when it is no message of Protobuf
 */
export function isDeeperThan(levels: number, struct: Uint8Array): boolean {
  return membersOfStruct(struct).some((value) => isDeepValue(levels, value))
}

/** google.protobuf.Value: 5 is a Struct, 6 a ListValue, whose field 1 are Values again. */
function isDeepValue(levels: number, value: Uint8Array): boolean {
  const structs = embeddedMessages(value, 5)
  const lists = embeddedMessages(value, 6)
  if (structs.length + lists.length > 0 && levels <= 1) return true
  const values = [...structs.flatMap(membersOfStruct), ...lists.flatMap((list) => embeddedMessages(list, 1))]
  return values.some((one) => isDeepValue(levels - 1, one))
}

/** A Struct is a map: each field 1 is an entry, whose field 2 is the value. */
function membersOfStruct(struct: Uint8Array): Uint8Array[] {
  return embeddedMessages(struct, 1).flatMap((entry) => embeddedMessages(entry, 2))
}

/** The bytes of all embedded messages of a number. @throws {RangeError} */
export function embeddedMessages(message: Uint8Array, number: number): Uint8Array[] {
  return fieldsOf(message)
    .filter((field) => field.number === number && field.wireType === 2)
    .map(({ start, end }) => message.subarray(varint(message, varint(message, start)[1])[1], end))
}

interface FieldPlace {
  readonly number: number
  readonly wireType: number
  readonly start: number
  readonly end: number
}

function fieldsOf(message: Uint8Array): FieldPlace[] {
  const fields: FieldPlace[] = []
  for (let start = 0; start < message.length; ) {
    const [tag, afterTag] = varint(message, start)
    const wireType = tag & 7
    const end = endOfField(message, wireType, afterTag)
    fields.push({ number: tag >>> 3, wireType, start, end })
    start = end
  }
  return fields
}

function endOfField(message: Uint8Array, wireType: number, at: number): number {
  if (wireType === 0) return varint(message, at)[1]
  if (wireType === 1) return within(message, at + 8)
  if (wireType === 5) return within(message, at + 4)
  if (wireType !== 2) throw new RangeError('A message of Protobuf has a field of no known type.')
  const [size, start] = varint(message, at)
  return within(message, start + size)
}

/** The value, exact up to 32 bits, and where it ends. */
function varint(message: Uint8Array, start: number): [number, number] {
  let value = 0
  for (let at = start, shift = 0; at < message.length && shift < 70; at += 1, shift += 7) {
    const byte = message[at] ?? 0
    if (shift < 32) value = (value | ((byte & 0x7f) << shift)) >>> 0
    if (byte < 0x80) return [value, at + 1]
  }
  throw new RangeError('A message of Protobuf ends within a number.')
}

function within(message: Uint8Array, end: number): number {
  if (end <= message.length) return end
  throw new RangeError('A message of Protobuf ends within a field.')
}
