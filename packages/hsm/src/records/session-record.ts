import { DEVICE_ID_BYTES, OWNER_ID_BYTES } from './device-record.ts'
import { refuseRest, takeField } from './fields.ts'
import { encodeRecord, RECORD_TYPE, splitRecord, type TagFunction } from './format.ts'

export const SESSION_KEY_ID_BYTES = 8
export const SESSION_BLOB_BYTES = 24

/** The AppSKey of one session, for a later AppSKeyReq. */
export interface SessionRecord {
  readonly deviceId: Buffer
  readonly sessionKeyId: Buffer
  readonly owner: Buffer
  /** AppSKey wrapped under the session storage key, 24 bytes. */
  readonly appSKey: Buffer
}

const FIELD = { deviceId: 1, sessionKeyId: 2, owner: 3, appSKey: 4 } as const

/** Encodes and tags a session record. */
export function encodeSessionRecord(record: SessionRecord, storageKeyId: Uint8Array, tag: TagFunction): Buffer {
  return encodeRecord(
    RECORD_TYPE.session,
    storageKeyId,
    [
      [FIELD.deviceId, record.deviceId],
      [FIELD.sessionKeyId, record.sessionKeyId],
      [FIELD.owner, record.owner],
      [FIELD.appSKey, record.appSKey],
    ],
    tag,
  )
}

/**
 * Reads a session record. This does not say that it is genuine: inside the trust boundary use `openRecord`.
 * @throws HsmError record_malformed, record_format_unsupported, record_type_mismatch
 */
export function decodeSessionRecord(bytes: Buffer): SessionRecord {
  const fields = splitRecord(bytes, RECORD_TYPE.session)
  const record: SessionRecord = {
    deviceId: takeField(fields, FIELD.deviceId, DEVICE_ID_BYTES),
    sessionKeyId: takeField(fields, FIELD.sessionKeyId, SESSION_KEY_ID_BYTES),
    owner: takeField(fields, FIELD.owner, OWNER_ID_BYTES),
    appSKey: takeField(fields, FIELD.appSKey, SESSION_BLOB_BYTES),
  }
  refuseRest(fields)
  return record
}
