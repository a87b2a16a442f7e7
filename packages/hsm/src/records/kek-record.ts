import { HsmError } from '../errors.ts'
import { OWNER_ID_BYTES } from './device-record.ts'
import { refuseRest, takeField, uint8, uint32 } from './fields.ts'
import { encodeRecord, RECORD_TYPE, splitRecord, type TagFunction } from './format.ts'

export const KEK_ID_BYTES = 16
export const KEK_SIZES = [16, 24, 32] as const
export const MAX_KEK_LABEL_BYTES = 64

export type KekKind = 'ns' | 'as'
export type KekSize = (typeof KEK_SIZES)[number]

/** A key-encryption key shared with one recipient, and who that is. */
export interface KekRecord {
  readonly kekId: Buffer
  readonly kind: KekKind
  /** A NetID (6 lower-case hex digits) for `ns`, an AS-ID for `as`. */
  readonly recipient: string
  readonly owner: Buffer
  readonly recordVersion: number
  /** 1 for a recipient's first KEK, one more for each later one. */
  readonly kekVersion: number
  /** KEKLabel on the wire. It never names another value. */
  readonly label: string
  readonly size: KekSize
  /** The KEK wrapped under the session storage key: size + 8 bytes. */
  readonly blob: Buffer
}

const FIELD = {
  kekId: 1,
  kind: 2,
  recipient: 3,
  owner: 4,
  recordVersion: 5,
  kekVersion: 6,
  label: 7,
  size: 8,
  blob: 9,
} as const

const KIND_NUMBER = { ns: 1, as: 2 } as const satisfies Record<KekKind, number>

/** Encodes and tags a KEK record. */
export function encodeKekRecord(record: KekRecord, storageKeyId: Uint8Array, tag: TagFunction): Buffer {
  return encodeRecord(
    RECORD_TYPE.kek,
    storageKeyId,
    [
      [FIELD.kekId, record.kekId],
      [FIELD.kind, uint8(KIND_NUMBER[record.kind])],
      [FIELD.recipient, Buffer.from(record.recipient)],
      [FIELD.owner, record.owner],
      [FIELD.recordVersion, uint32(record.recordVersion)],
      [FIELD.kekVersion, uint32(record.kekVersion)],
      [FIELD.label, Buffer.from(record.label)],
      [FIELD.size, uint8(record.size)],
      [FIELD.blob, record.blob],
    ],
    tag,
  )
}

/**
 * Reads a KEK record. This does not say that it is genuine: inside the trust boundary use `openRecord`.
 * @throws HsmError record_malformed, record_format_unsupported, record_type_mismatch
 */
export function decodeKekRecord(bytes: Buffer): KekRecord {
  const fields = splitRecord(bytes, RECORD_TYPE.kek)
  const kindNumber = takeField(fields, FIELD.kind, 1).readUInt8()
  const kind = kindNumber === KIND_NUMBER.ns ? 'ns' : kindNumber === KIND_NUMBER.as ? 'as' : undefined
  const size = KEK_SIZES.find((size) => size === fields.get(FIELD.size)?.[0])
  if (kind === undefined || size === undefined) throw new HsmError('record_malformed', 'KEK kind or size')
  takeField(fields, FIELD.size, 1)
  const record: KekRecord = {
    kekId: takeField(fields, FIELD.kekId, KEK_ID_BYTES),
    kind,
    recipient: takeField(fields, FIELD.recipient).toString(),
    owner: takeField(fields, FIELD.owner, OWNER_ID_BYTES),
    recordVersion: takeField(fields, FIELD.recordVersion, 4).readUInt32BE(),
    kekVersion: takeField(fields, FIELD.kekVersion, 4).readUInt32BE(),
    label: takeField(fields, FIELD.label).toString(),
    size,
    blob: takeField(fields, FIELD.blob, size + 8),
  }
  refuseRest(fields)
  return record
}
