import { timingSafeEqual } from 'node:crypto'
import { HsmError } from '../errors.ts'

/**
 * One binary format for every record that the HSM process makes and tags (docs/adr/001-record-format.md):
 *
 *   magic "MORT" (4) | format version (1) | record type (1) | storage-key id (8) | algorithm id (1)
 *   field*: id (1) | length (1 or 2, LEB128) | value        ids strictly ascending
 *   tag (16): AES-CMAC under the binding key over everything before it
 */
export const RECORD_FORMAT_VERSION = 1

/** 1 = tag by AES-CMAC, RFC 4493, under an AES-256 binding key; key blobs by AES key wrap, RFC 3394. */
export const RECORD_ALGORITHM = 1

export const RECORD_TYPE = { device: 1, kek: 2, session: 3 } as const
export type RecordType = (typeof RECORD_TYPE)[keyof typeof RECORD_TYPE]

export const STORAGE_KEY_ID_BYTES = 8
export const RECORD_TAG_BYTES = 16
export const MAX_RECORD_BYTES = 4096

const MAGIC = Buffer.from('MORT', 'ascii')
const HEADER_BYTES = MAGIC.length + 1 + 1 + STORAGE_KEY_ID_BYTES + 1
const TYPE_OFFSET = 5
const STORAGE_KEY_ID_OFFSET = 6
const ALGORITHM_OFFSET = 14

/** The fields of a record by id; values are views into the record. */
export type RecordFields = Map<number, Buffer>

/** Something that makes the 16-byte tag over a record's bytes: the token's binding key. */
export type TagFunction = (message: Uint8Array) => Uint8Array

/** Writes a record: `fields` in ascending order of id. */
export function encodeRecord(
  type: RecordType,
  storageKeyId: Uint8Array,
  fields: readonly (readonly [number, Uint8Array])[],
  tag: TagFunction,
): Buffer {
  const parts: Uint8Array[] = [
    MAGIC,
    Buffer.from([RECORD_FORMAT_VERSION, type]),
    storageKeyId,
    Buffer.from([RECORD_ALGORITHM]),
  ]
  for (const [id, value] of fields) parts.push(Buffer.from([id]), encodeLength(value.length), value)
  const body = Buffer.concat(parts)
  if (body.length + RECORD_TAG_BYTES > MAX_RECORD_BYTES) throw new HsmError('record_malformed', 'record too large')
  return Buffer.concat([body, tag(body)])
}

/** The type that a record says it has; `undefined` for bytes too short or of an unknown type. */
export function recordType(record: Buffer): RecordType | undefined {
  return Object.values(RECORD_TYPE).find((type) => type === record[TYPE_OFFSET])
}

/**
 * Splits a record into its fields, without looking at the tag.
 * @throws HsmError record_malformed, record_format_unsupported, record_type_mismatch
 */
export function splitRecord(record: Buffer, type: RecordType): RecordFields {
  checkHeader(record, type)
  const end = record.length - RECORD_TAG_BYTES
  const fields: RecordFields = new Map()
  let offset = HEADER_BYTES
  let previous = 0
  while (offset < end) {
    const id = record.readUInt8(offset)
    if (id <= previous) throw new HsmError('record_malformed', 'field order')
    const { length, next } = decodeLength(record, offset + 1, end)
    if (next + length > end) throw new HsmError('record_malformed', 'field length')
    fields.set(id, record.subarray(next, next + length))
    offset = next + length
    previous = id
  }
  return fields
}

/**
 * Refuses a record that this HSM's binding key did not tag. Compares in constant time.
 * @throws HsmError storage_key_unknown, record_tag_mismatch
 */
export function verifyTag(record: Buffer, storageKeyId: Uint8Array, tag: TagFunction): void {
  const named = record.subarray(STORAGE_KEY_ID_OFFSET, STORAGE_KEY_ID_OFFSET + STORAGE_KEY_ID_BYTES)
  if (Buffer.compare(named, storageKeyId) !== 0) throw new HsmError('storage_key_unknown')
  const end = record.length - RECORD_TAG_BYTES
  if (!timingSafeEqual(tag(record.subarray(0, end)), record.subarray(end))) throw new HsmError('record_tag_mismatch')
}

function checkHeader(record: Buffer, type: RecordType): void {
  if (record.length < HEADER_BYTES + RECORD_TAG_BYTES || record.length > MAX_RECORD_BYTES)
    throw new HsmError('record_malformed', 'size')
  if (record.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) throw new HsmError('record_malformed', 'magic')
  if (record[MAGIC.length] !== RECORD_FORMAT_VERSION) throw new HsmError('record_format_unsupported', 'format version')
  if (record[ALGORITHM_OFFSET] !== RECORD_ALGORITHM) throw new HsmError('record_format_unsupported', 'algorithm')
  if (record[TYPE_OFFSET] !== type) throw new HsmError('record_type_mismatch')
}

function encodeLength(length: number): Uint8Array {
  return length < 0x80 ? Buffer.from([length]) : Buffer.from([(length & 0x7f) | 0x80, length >> 7])
}

function decodeLength(record: Buffer, offset: number, end: number): { length: number; next: number } {
  if (offset >= end) throw new HsmError('record_malformed', 'field length')
  const low = record.readUInt8(offset)
  if (low < 0x80) return { length: low, next: offset + 1 }
  const high = offset + 1 < end ? record.readUInt8(offset + 1) : 0
  // One encoding per length, so that one record has one text: a second byte of 0 would say the same as no second byte.
  if (high === 0 || high >= 0x80) throw new HsmError('record_malformed', 'field length')
  return { length: (low & 0x7f) | (high << 7), next: offset + 2 }
}
