import { randomBytes } from 'node:crypto'
import { bytesToHex, type DevEui, type JoinEui } from '@mortise/lorawan'
import { decodeDeviceRecord, encodeKekRecord, HsmClient, HsmError } from '@mortise/hsm'
import { type DataDirectory, openDatabase, type Storage } from '@mortise/server'

/** What a taken-over server has: the HSM's socket and every byte of the database. */
export interface StolenRecords {
  readonly deviceRecord: Buffer
  readonly sessionRecord: Buffer
  /** KEK records by AS-ID. */
  readonly kekRecords: ReadonlyMap<string, Buffer>
}

export function stealRecords(directory: DataDirectory, joinEui: JoinEui, devEui: DevEui): StolenRecords {
  using storage: Storage = openDatabase(directory.database, { readOnly: true })
  const keySet = storage.joins.findKeySets(joinEui, devEui)[0]
  const last = keySet?.state?.last
  if (keySet === undefined || last === undefined) throw new Error('the device has not joined')
  const session = storage.joins.findSession(keySet.keySet, last.sessionKeyId)
  if (session === undefined) throw new Error('the session is not there')
  const kekRecords = storage.administration
    .listKeks()
    .flatMap((kek): [string, Buffer][] => (kek.kind === 'as' ? [[kek.recipient, kek.record]] : []))
  return { deviceRecord: keySet.record, sessionRecord: session.record, kekRecords: new Map(kekRecords) }
}

/** A KEK record for a key that the attacker knows, as well as it can be made without the binding key. */
export function forgeKekRecord(stolen: StolenRecords): Buffer {
  const device = decodeDeviceRecord(stolen.deviceRecord)
  const storageKeyId = stolen.deviceRecord.subarray(6, 14)
  return encodeKekRecord(
    {
      kekId: randomBytes(16),
      kind: 'as',
      recipient: device.applicationServers[0] ?? '',
      owner: device.owner,
      recordVersion: 1,
      kekVersion: 2,
      label: 'attacker',
      size: 16,
      blob: randomBytes(24),
    },
    storageKeyId,
    () => randomBytes(16),
  )
}

/** Asks the HSM process for the AppSKey: the wrapped key, or the code of the refusal. */
export async function tryRelease(socketPath: string, stolen: StolenRecords, kekRecord: Buffer): Promise<string> {
  const client = new HsmClient({
    socketPath,
    knownEpoch: () => 0,
    // An attacker keeps no receipts; the HSM process sends them to the real server.
    onReceipts: () => Promise.reject(new Error('not stored')),
    onState: () => undefined,
  })
  try {
    const { deviceRecord, sessionRecord } = stolen
    const released = await client.releaseAppSKey({ deviceRecord, sessionRecord, asKekRecord: kekRecord })
    return bytesToHex(released.appSKey)
  } catch (error) {
    if (error instanceof HsmError) return error.code
    throw error
  } finally {
    await client.close()
  }
}
