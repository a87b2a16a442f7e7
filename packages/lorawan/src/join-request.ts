import { FrameError } from './errors.ts'
import { type DevEui, devEuiFromWire, eui64ToWire, type JoinEui, joinEuiFromWire } from './identifiers.ts'
import { MIC_SIZE } from './mic.ts'
import { readUint, writeBytes, writeUint } from './wire.ts'

/** A join-request as it is on air (LoRaWAN 1.0.3 §6.2.4, 1.1 §6.2.5). */
export interface JoinRequest {
  readonly joinEui: JoinEui
  readonly devEui: DevEui
  /** 16 bits. */
  readonly devNonce: number
  /** 4 bytes, in the order on air. */
  readonly mic: Uint8Array
}

export type JoinRequestFields = Omit<JoinRequest, 'mic'>

/** MHDR || JoinEUI || DevEUI || DevNonce || MIC, in bytes. */
export const JOIN_REQUEST_SIZE = 23
const SIZE_WITHOUT_MIC = JOIN_REQUEST_SIZE - MIC_SIZE

/** MType 000, RFU 000, Major 00. */
export const JOIN_REQUEST_MHDR = 0x00

/**
 * Takes a join-request of 23 bytes apart. Whether its MIC is right is for whoever has the key.
 * @throws {FrameError} `frame_size`: not 23 bytes. `frame_type`: MHDR is not 00.
 */
export function decodeJoinRequest(phyPayload: Uint8Array): JoinRequest {
  requireJoinRequestSize(phyPayload)
  if (phyPayload[0] !== JOIN_REQUEST_MHDR) throw new FrameError('frame_type', 'MHDR is not that of a join-request')
  return {
    joinEui: joinEuiFromWire(phyPayload.subarray(1, 9)),
    devEui: devEuiFromWire(phyPayload.subarray(9, 17)),
    devNonce: readUint(phyPayload, 17, 2),
    mic: new Uint8Array(phyPayload.subarray(SIZE_WITHOUT_MIC)),
  }
}

/** The whole frame of 23 bytes. @throws {FrameError} `frame_field`: DevNonce above 16 bits, or a MIC not of 4 bytes. */
export function encodeJoinRequest(fields: JoinRequestFields, mic: Uint8Array): Uint8Array {
  const phyPayload = new Uint8Array(JOIN_REQUEST_SIZE)
  phyPayload.set(encodeJoinRequestWithoutMic(fields))
  writeBytes(phyPayload, SIZE_WITHOUT_MIC, MIC_SIZE, mic)
  return phyPayload
}

/** The first 19 bytes, for a device that has yet to compute the MIC. @throws {FrameError} `frame_field`: DevNonce above 16 bits. */
export function encodeJoinRequestWithoutMic(fields: JoinRequestFields): Uint8Array {
  const message = new Uint8Array(SIZE_WITHOUT_MIC)
  message[0] = JOIN_REQUEST_MHDR
  message.set(eui64ToWire(fields.joinEui), 1)
  message.set(eui64ToWire(fields.devEui), 9)
  writeUint(message, 17, 2, fields.devNonce)
  return message
}

/**
 * What the MIC of a received join-request is computed over: its first 19 bytes, under AppKey (1.0.x) or NwkKey (1.1).
 * @throws {FrameError} `frame_size`: not 23 bytes.
 */
export function joinRequestMicMessage(phyPayload: Uint8Array): Uint8Array {
  requireJoinRequestSize(phyPayload)
  return phyPayload.subarray(0, SIZE_WITHOUT_MIC)
}

function requireJoinRequestSize(phyPayload: Uint8Array): void {
  if (phyPayload.length !== JOIN_REQUEST_SIZE) {
    throw new FrameError('frame_size', `a join-request has ${JOIN_REQUEST_SIZE} bytes, not ${phyPayload.length}`)
  }
}
