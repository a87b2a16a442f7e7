import { type DataFrame, equalMic, extendFCnt, MAX_F_CNT, MIC_SIZE } from '@mortise/lorawan'
import { NetworkServerError } from './network-server-error.ts'
import type { DownlinkToSend } from './network-server-options.ts'
import { type NetworkSession, rejoinMic, type UplinkMetadata, uplinkMic } from './network-session.ts'

/** The session of a rejoin-request of type 0 or 2 (LoRaWAN 1.1 §6.2.4): whose SNwkSIntKey made its MIC. */
export function authenticSession(
  sessions: readonly NetworkSession[],
  rejoinRequest: Uint8Array,
  rjCount0: number,
): NetworkSession {
  if (sessions.length === 0) throw new NetworkServerError('device_unknown', 'No session has this DevEUI.')
  const mic = rejoinRequest.subarray(-MIC_SIZE)
  const session = sessions.find((one) => one.keys.optNeg && equalMic(rejoinMic(one, rejoinRequest), mic))
  if (session === undefined) throw new NetworkServerError('mic_mismatch', 'The MIC of the rejoin-request is wrong.')
  if (session.lastRjCount0 !== undefined && rjCount0 <= session.lastRjCount0) {
    throw new NetworkServerError('rj_count_replayed', 'The rejoin-request is not newer than the last one.')
  }
  session.lastRjCount0 = rjCount0
  return session
}

export function authenticFCnt(
  session: NetworkSession,
  frame: DataFrame,
  metadata: UplinkMetadata,
  phyPayload: Uint8Array,
): number {
  const fCnt = extendFCnt(session.lastFCntUp, frame.fCnt)
  if (fCnt === undefined) throw new NetworkServerError('f_cnt_replayed', 'The uplink is not newer than the last one.')
  const expected = uplinkMic(session, frame, fCnt, metadata, phyPayload.subarray(0, -MIC_SIZE))
  if (!equalMic(expected, frame.mic)) throw new NetworkServerError('mic_mismatch', 'The MIC of the uplink is wrong.')
  return fCnt
}

/** The counter of a downlink: the application's own choice, or the network's next one when there is no payload. */
export function takeFCntDown(session: NetworkSession, { fPort, fCnt, frmPayload }: DownlinkToSend): number {
  if (fPort === undefined && fCnt === undefined && frmPayload === undefined) return session.nextNFCntDown++
  if (fCnt === undefined || frmPayload === undefined || !isApplicationPort(fPort)) {
    throw new NetworkServerError('f_port_invalid', 'A payload needs an FPort of 1 to 255, and the FCnt it belongs to.')
  }
  const counter = session.keys.optNeg ? 'nextAFCntDown' : 'nextNFCntDown'
  if (!Number.isInteger(fCnt) || fCnt < session[counter] || fCnt > MAX_F_CNT) {
    throw new NetworkServerError('f_cnt_down_used', `FCnt ${fCnt} is not from ${session[counter]} on.`)
  }
  session[counter] = fCnt + 1
  return fCnt
}

function isApplicationPort(fPort: number | undefined): boolean {
  return fPort !== undefined && Number.isInteger(fPort) && fPort >= 1 && fPort <= 255
}
