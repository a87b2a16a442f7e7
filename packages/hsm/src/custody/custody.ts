import { HsmError } from '../errors.ts'
import { decodeDeviceRecord, type DeviceRecord } from '../records/device-record.ts'
import { verifyTag } from '../records/format.ts'
import type { Token } from '../token/token.ts'
import type { ReceiptChain } from '../receipts/chain.ts'
import type { Floors } from './floors.ts'
import type { KekCache } from './kek-cache.ts'

/** What every operation of a worker stands on. */
export interface Custody {
  readonly token: Token
  readonly storageKeyId: Buffer
  readonly floors: Floors
  readonly keks: KekCache
  readonly receipts: ReceiptChain
}

/**
 * A device record that this HSM made and that nothing has replaced.
 * @throws HsmError record_*, storage_key_unknown
 */
export function openDeviceRecord(custody: Custody, bytes: Buffer): DeviceRecord {
  const record = decodeDeviceRecord(bytes)
  verifyTag(bytes, custody.storageKeyId, (message) => custody.token.tag(message))
  if (!custody.floors.accepts(record.deviceId, record.recordVersion)) throw new HsmError('record_superseded', 'device')
  return record
}
