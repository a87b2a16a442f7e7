import type { AppSKeyOutcome, AppSKeyReq } from '@mortise/backend-interfaces'
import { decodeDeviceRecord, type HsmClient } from '@mortise/hsm'
import type { ApplicationServer } from '../identity/index.ts'
import type { JoinReader, JoinKeySet, JoinWriter, Session } from '../storage/index.ts'
import { JoinError, joinErrorOf } from './errors.ts'

export interface ReleaseAppSKeyDependencies {
  readonly joins: JoinReader & JoinWriter
  readonly hsm: Pick<HsmClient, 'releaseAppSKey'>
  /** Called when a receipt is durable. */
  readonly receiptCommitted: (receipt: Buffer) => void
}

export type ReleaseAppSKey = (peer: ApplicationServer, request: AppSKeyReq) => Promise<AppSKeyOutcome>

/**
 * Answers an AppSKeyReq of an application server that the device's record names, under its newest KEK.
 * The promise rejects with JoinError.
 */
export function createReleaseAppSKey({ joins, hsm, receiptCommitted }: ReleaseAppSKeyDependencies): ReleaseAppSKey {
  return async function releaseAppSKey(peer, request) {
    try {
      const { keySet, session } = findSession(joins, peer, request)
      const kek = joins.newestKek('as', peer.id)
      if (kek === undefined) throw new JoinError('application_kek_missing')
      const released = await hsm.releaseAppSKey({
        deviceRecord: keySet.record,
        sessionRecord: session.record,
        asKekRecord: kek.record,
      })
      await joins.commit([{ receipt: released.receipt }])
      receiptCommitted(released.receipt)
      const appSKey = { kekLabel: kek.label, aesKey: released.appSKey }
      return { devEui: request.devEui, sessionKeyId: request.sessionKeyId, appSKey }
    } catch (error) {
      throw joinErrorOf(error)
    }
  }
}

/** The device first, then whether it is the caller's, and only then its sessions. */
function findSession(
  joins: JoinReader,
  peer: ApplicationServer,
  request: AppSKeyReq,
): { keySet: JoinKeySet; session: Session } {
  const keySets = joins.findKeySets(request.header.receiverId, request.devEui)
  if (keySets.length === 0) throw new JoinError('device_unknown')
  const allowed = keySets.filter((keySet) => decodeDeviceRecord(keySet.record).applicationServers.includes(peer.id))
  if (allowed.length === 0) throw new JoinError('application_server_not_allowed')
  for (const keySet of allowed) {
    const session = joins.findSession(keySet.keySet, Buffer.from(request.sessionKeyId))
    if (session !== undefined) return { keySet, session }
  }
  throw new JoinError('session_unknown')
}
