import type { SealedDownlink } from '../source.ts'
import { requireSameSession } from '../same-session.ts'
import type { DeviceAddress } from './device-address.ts'

/**
 * What `down/push` wants of an application that does its own payload crypto. The Application Server takes over `f_cnt`
 * and `session_key_id` in that case and in no other ("FCnt must be set when skipping application payload crypto", the
 * same of SessionKeyID: pkg/applicationserver/io/io.go, CleanDownlinks; used in payload_crypto.go, encryptDownlinks).
 * The Network Server refuses a session that is not the device's, and a counter that is not above the last one.
 * @throws {BridgeError} `downlink_refused`: sealed for another session than the address names
 */
export function downlinkMessage(sealed: SealedDownlink, address: DeviceAddress): string {
  const { fPort, fCnt, frmPayload, confirmed } = sealed
  requireSameSession(sealed, address.devAddr)
  const downlink = {
    ...(address.sessionKeyId !== '' && { session_key_id: address.sessionKeyId }),
    f_port: fPort,
    f_cnt: fCnt,
    frm_payload: Buffer.from(frmPayload).toString('base64'),
    confirmed,
    priority: 'NORMAL',
  }
  return JSON.stringify({ downlinks: [downlink] })
}

/**
 * The Application Server counts from 1 in every session (lastAFCntDown + 1), and tells its last counter with uplinks of
 * devices whose payload crypto it skips (`last_a_f_cnt_down`, left out while it is 0).
 */
export function nextFCntDown({ lastAFCntDown }: DeviceAddress): number {
  return lastAFCntDown + 1
}
