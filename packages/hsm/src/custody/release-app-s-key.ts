import { eui64ToBytes } from '@mortise/lorawan'
import type { ReleaseAppSKeyCommand, ReleasedAppSKey } from '../contract/app-s-key.ts'
import { HsmError } from '../errors.ts'
import { verifyTag } from '../records/format.ts'
import { decodeSessionRecord } from '../records/session-record.ts'
import { openAllowedApplicationKek } from './answer-join.ts'
import { type Custody, openDeviceRecord } from './custody.ts'
import { withKeys } from './key-scope.ts'

/**
 * Wraps the AppSKey of a session for an application server that the device's current record names.
 * @throws HsmError record_*, session_of_other_device, owner_mismatch, kek_kind_mismatch, recipient_not_allowed
 */
export function releaseAppSKey(custody: Custody, command: ReleaseAppSKeyCommand): ReleasedAppSKey {
  const device = openDeviceRecord(custody, command.deviceRecord)
  const session = decodeSessionRecord(command.sessionRecord)
  verifyTag(command.sessionRecord, custody.storageKeyId, (message) => custody.token.tag(message))
  if (!session.deviceId.equals(device.deviceId)) throw new HsmError('session_of_other_device')
  // A session belongs to the owner under whom it was made: a later owner does not get yesterday's readings.
  if (!session.owner.equals(device.owner)) throw new HsmError('owner_mismatch', 'session')
  const kek = openAllowedApplicationKek(custody, device, command.asKekRecord)
  return withKeys(custody.token, (keys) => ({
    appSKey: custody.token.wrap(kek.key, keys.hold(custody.token.openAppSKey(session.appSKey))),
    receipt: custody.receipts.append({
      operation: 'releaseAppSKey',
      subject: command.deviceRecord,
      device: { receiptSalt: device.receiptSalt, devEui: eui64ToBytes(device.devEui) },
      kekIds: [kek.record.kekId],
      appSKey: 'wrapped',
    }),
  }))
}
