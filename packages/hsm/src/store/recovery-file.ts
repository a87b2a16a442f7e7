import { createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { HsmError } from '../errors.ts'
import { STORAGE_KEY_ID_BYTES } from '../records/format.ts'
import { RECOVERY_KEY_BYTES } from '../token/settings.ts'
import type { CheckValues, RecoveryBlobs } from '../token/token.ts'
import { decodeCheckValues, encodeCheckValues } from './check-values.ts'
import { type Members, parseMembers } from '../members.ts'
import { HSM_ID_BYTES } from './state.ts'

const FORMAT = 'mortise-recovery-1'
const TAG_INFO = 'mortise recovery file 1'
const TAG_BYTES = 32
/** A storage key of 32 bytes, wrapped (RFC 3394). */
const BLOB_BYTES = 40
const KEY_WRAP_IV = Buffer.alloc(8, 0xa6)
export const MAX_RECOVERY_FILE_BYTES = 64 * 1024

/** What a second HSM, or a restore, needs to have the same storage keys. */
export interface RecoveryContent {
  /** 8 bytes each. */
  readonly hsmId: Buffer
  readonly storageKeyId: Buffer
  /** RFC 3339, UTC. */
  readonly createdAt: string
  readonly blobs: RecoveryBlobs
  readonly checkValues: CheckValues
}

/**
 * Writes the recovery file: JSON for people to keep, bytes in lower-case hex. The storage keys in it are wrapped under
 * the recovery key (32 bytes); a tag under a key derived from it covers the rest.
 */
export function encodeRecoveryFile(recoveryKey: Buffer, content: RecoveryContent): Buffer {
  const body = bodyOf(content)
  const file = { ...body, tag: tagOf(recoveryKey, body).toString('hex') }
  return Buffer.from(`${JSON.stringify(file, null, 2)}\n`)
}

/**
 * Reads a recovery file. Space between the members may differ, as after a copy by hand.
 * @throws HsmError wrong_passphrase (another recovery key), store_damaged
 */
export function decodeRecoveryFile(recoveryKey: Buffer, bytes: Buffer): RecoveryContent {
  if (bytes.length > MAX_RECOVERY_FILE_BYTES) throw new HsmError('store_damaged', 'recovery file: size')
  const members = parseMembers(bytes, 'recovery file')
  if (members.text('format') !== FORMAT) throw new HsmError('store_damaged', 'recovery file: format is not supported')
  const content: RecoveryContent = {
    hsmId: members.hexBytes('hsmId', HSM_ID_BYTES),
    storageKeyId: members.hexBytes('storageKeyId', STORAGE_KEY_ID_BYTES),
    createdAt: members.time('createdAt'),
    blobs: readBlobs(members.object('blobs')),
    checkValues: decodeCheckValues(members.object('checkValues')),
  }
  const tag = members.hexBytes('tag', TAG_BYTES)
  members.end()
  if (!timingSafeEqual(tag, tagOf(recoveryKey, bodyOf(content)))) refuse(recoveryKey, content.blobs)
  return content
}

/** A key that still opens one of the blobs is the right one, so it is the file that was changed. */
function refuse(recoveryKey: Buffer, blobs: RecoveryBlobs): never {
  if (Object.values(blobs).some((blob: Buffer) => opens(recoveryKey, blob)))
    throw new HsmError('store_damaged', 'recovery file: it was changed')
  throw new HsmError('wrong_passphrase', 'the recovery key is not the one of this recovery file')
}

function opens(recoveryKey: Buffer, blob: Buffer): boolean {
  try {
    createDecipheriv('id-aes256-wrap', recoveryKey, KEY_WRAP_IV).update(blob).fill(0)
    return true
  } catch {
    return false
  }
}

/** The canonical body: these members in this order. */
function bodyOf(content: RecoveryContent): object {
  const { rootUse, session, binding, escrow } = content.blobs
  return {
    format: FORMAT,
    hsmId: content.hsmId.toString('hex'),
    storageKeyId: content.storageKeyId.toString('hex'),
    createdAt: content.createdAt,
    blobs: {
      rootUse: rootUse.toString('hex'),
      session: session.toString('hex'),
      binding: binding.toString('hex'),
      escrow: escrow.toString('hex'),
    },
    checkValues: encodeCheckValues(content.checkValues),
  }
}

function tagOf(recoveryKey: Buffer, body: object): Buffer {
  if (recoveryKey.length !== RECOVERY_KEY_BYTES) throw new HsmError('wrong_passphrase', 'size of the recovery key')
  const key = Buffer.from(hkdfSync('sha256', recoveryKey, Buffer.alloc(0), TAG_INFO, 32))
  return createHmac('sha256', key).update(JSON.stringify(body)).digest()
}

function readBlobs(members: Members): RecoveryBlobs {
  const blobs: RecoveryBlobs = {
    rootUse: members.hexBytes('rootUse', BLOB_BYTES),
    session: members.hexBytes('session', BLOB_BYTES),
    binding: members.hexBytes('binding', BLOB_BYTES),
    escrow: members.hexBytes('escrow', BLOB_BYTES),
  }
  members.end()
  return blobs
}
