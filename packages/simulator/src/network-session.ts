import type { KeyEnvelope, NetworkSessionKeys } from '@mortise/backend-interfaces'
import {
  type BlockCipher,
  cryptFOpts11,
  cryptFrmPayload,
  type DataFrame,
  type DevAddr,
  type DevEui,
  type JoinEui,
  dataMic10,
  dataMic11Down,
  computeMic,
  dataMic11Up,
  rejoinRequestMicMessage,
} from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'

/** The network's keys of one session as ciphers. In a 1.0 session NwkSKey stands in all three places. */
export interface NetworkCiphers {
  /** Whether the session is one of LoRaWAN 1.1, rather than of 1.0. */
  readonly optNeg: boolean
  readonly fNwkSIntKey: BlockCipher
  readonly sNwkSIntKey: BlockCipher
  readonly nwkSEncKey: BlockCipher
}

/** What a network server keeps of one session. Of the AppSKey it has what it was sent, unopened. */
export interface NetworkSession {
  readonly devEui: DevEui
  /** Where its join-request said that its join server is. */
  readonly joinEui: JoinEui
  readonly devAddr: DevAddr
  readonly keys: NetworkCiphers
  readonly sessionKeyId: Uint8Array | undefined
  readonly appSKey: KeyEnvelope | undefined
  lastFCntUp: number | undefined
  /** Of all downlinks in a 1.0 session, of the network's own in one of 1.1. */
  nextNFCntDown: number
  /** Of the application's downlinks in a 1.1 session. */
  nextAFCntDown: number
  /** FCntUp of the confirmed uplink that the next downlink acknowledges. */
  dueAck: number | undefined
  /** FCntDown of the last confirmed downlink, which an ACK of the device is about. */
  lastConfirmedFCntDown: number | undefined
  lastRjCount0: number | undefined
}

/** Where an uplink was heard, which a 1.1 MIC covers. */
export interface UplinkMetadata {
  readonly txDr: number
  readonly txCh: number
}

/** `open` gives the 16 bytes of an envelope. */
export function networkCiphers(keys: NetworkSessionKeys, open: (envelope: KeyEnvelope) => Uint8Array): NetworkCiphers {
  const cipherOf = (envelope: KeyEnvelope) => createBlockCipher(open(envelope))
  if ('nwkSKey' in keys) {
    const nwkSKey = cipherOf(keys.nwkSKey)
    return { optNeg: false, fNwkSIntKey: nwkSKey, sNwkSIntKey: nwkSKey, nwkSEncKey: nwkSKey }
  }
  return {
    optNeg: true,
    fNwkSIntKey: cipherOf(keys.fNwkSIntKey),
    sNwkSIntKey: cipherOf(keys.sNwkSIntKey),
    nwkSEncKey: cipherOf(keys.nwkSEncKey),
  }
}

/** The MIC that an uplink must have; `message` is the frame without MIC. */
export function uplinkMic(
  { keys, devAddr, lastConfirmedFCntDown = 0 }: NetworkSession,
  { ack }: DataFrame,
  fCnt: number,
  metadata: UplinkMetadata,
  message: Uint8Array,
): Uint8Array {
  if (!keys.optNeg) return dataMic10(keys.fNwkSIntKey, 'up', devAddr, fCnt, message)
  const inputs = { ...metadata, confFCnt: ack ? lastConfirmedFCntDown : 0, devAddr, fCnt }
  return dataMic11Up(keys.fNwkSIntKey, keys.sNwkSIntKey, inputs, message)
}

export function downlinkMic(
  { keys, devAddr, dueAck = 0 }: NetworkSession,
  fCnt: number,
  message: Uint8Array,
): Uint8Array {
  if (!keys.optNeg) return dataMic10(keys.sNwkSIntKey, 'down', devAddr, fCnt, message)
  return dataMic11Down(keys.sNwkSIntKey, { confFCnt: dueAck, devAddr, fCnt }, message)
}

/** The MIC that a rejoin-request of type 0 or 2 must have. */
export function rejoinMic({ keys }: NetworkSession, phyPayload: Uint8Array): Uint8Array {
  return computeMic(keys.sNwkSIntKey, rejoinRequestMicMessage(phyPayload))
}

/** The MAC commands of an uplink in clear, from FOpts or from the payload of FPort 0. */
export function macCommandsOf({ keys, devAddr }: NetworkSession, frame: DataFrame, fCnt: number): Uint8Array {
  if (frame.fPort === 0) return cryptFrmPayload(keys.nwkSEncKey, 'up', devAddr, fCnt, frame.frmPayload)
  if (!keys.optNeg || frame.fOpts.length === 0) return frame.fOpts
  return cryptFOpts11(keys.nwkSEncKey, 'up', 'FCntUp', devAddr, fCnt, frame.fOpts)
}
