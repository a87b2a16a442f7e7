import { FrameError } from './errors.ts'
import {
  type DevEui,
  devEuiFromWire,
  eui64ToWire,
  type JoinEui,
  joinEuiFromWire,
  type NetId,
  netIdFromWire,
  netIdToWire,
} from './identifiers.ts'
import { MIC_SIZE } from './mic.ts'
import { readUint, writeBytes, writeUint } from './wire.ts'

/**
 * What a rejoin-request says before its MIC (LoRaWAN 1.1 §6.2.4). Type 0 asks for a new context with its radio
 * parameters, type 2 for new keys or a new DevAddr; both are the network's, and their MIC is under SNwkSIntKey. Type 1
 * restores a lost session; its MIC is under JSIntKey, and the join server alone can check it.
 */
export type RejoinRequestFields =
  | {
      readonly rejoinType: 0 | 2
      /** The network of the session. */
      readonly netId: NetId
      readonly devEui: DevEui
      /** 16 bits; begins at 0 with every join-accept. */
      readonly rjCount0: number
    }
  | {
      readonly rejoinType: 1
      readonly joinEui: JoinEui
      readonly devEui: DevEui
      /** 16 bits; never begins anew for a JoinEUI. */
      readonly rjCount1: number
    }

/** A rejoin-request as it is on air. */
export type RejoinRequest = RejoinRequestFields & {
  /** 4 bytes, in the order on air. */
  readonly mic: Uint8Array
}

/** Also the JoinReqType of the join-accept that answers it. */
export type RejoinType = RejoinRequest['rejoinType']

/** RJcount0 and RJcount1 have 2 bytes. A device that has used all of RJcount0 has to join; RJcount1 lasts for its life. */
export const MAX_RJ_COUNT = 0xffff

/** MType 110, RFU 000, Major 00. */
export const REJOIN_REQUEST_MHDR = 0xc0

/** MHDR || RejoinType || NetID || DevEUI || RJcount0 || MIC, in bytes. */
export const REJOIN_REQUEST_02_SIZE = 19

/** MHDR || RejoinType || JoinEUI || DevEUI || RJcount1 || MIC, in bytes. */
export const REJOIN_REQUEST_1_SIZE = 24

/**
 * Takes a rejoin-request of 19 bytes (type 0, 2) or 24 (type 1) apart. Whether its MIC is right is for whoever has the key.
 * @throws {FrameError} `frame_size`: neither, or not the size of its type. `frame_type`: MHDR is not C0, or another type.
 */
export function decodeRejoinRequest(phyPayload: Uint8Array): RejoinRequest {
  const rejoinType = requireRejoinRequest(phyPayload)
  const mic = new Uint8Array(phyPayload.subarray(-MIC_SIZE))
  if (rejoinType === 1) {
    const joinEui = joinEuiFromWire(phyPayload.subarray(2, 10))
    const devEui = devEuiFromWire(phyPayload.subarray(10, 18))
    return { rejoinType, joinEui, devEui, rjCount1: readUint(phyPayload, 18, 2), mic }
  }
  const netId = netIdFromWire(phyPayload.subarray(2, 5))
  const devEui = devEuiFromWire(phyPayload.subarray(5, 13))
  return { rejoinType, netId, devEui, rjCount0: readUint(phyPayload, 13, 2), mic }
}

/** The whole frame. @throws {FrameError} `frame_field`: a counter above 16 bits, or a MIC not of 4 bytes. */
export function encodeRejoinRequest(fields: RejoinRequestFields, mic: Uint8Array): Uint8Array {
  const message = encodeRejoinRequestWithoutMic(fields)
  const phyPayload = new Uint8Array(message.length + MIC_SIZE)
  phyPayload.set(message)
  writeBytes(phyPayload, message.length, MIC_SIZE, mic)
  return phyPayload
}

/** The frame up to its MIC, for a device that has yet to compute it. @throws {FrameError} `frame_field`: a counter above 16 bits. */
export function encodeRejoinRequestWithoutMic(fields: RejoinRequestFields): Uint8Array {
  const message = new Uint8Array(sizeOf(fields.rejoinType) - MIC_SIZE)
  message[0] = REJOIN_REQUEST_MHDR
  message[1] = fields.rejoinType
  message.set(fields.rejoinType === 1 ? eui64ToWire(fields.joinEui) : netIdToWire(fields.netId), 2)
  message.set(eui64ToWire(fields.devEui), message.length - 10)
  writeUint(message, message.length - 2, 2, rejoinCount(fields))
  return message
}

/**
 * What the MIC of a received rejoin-request is computed over: all before it, under SNwkSIntKey (types 0, 2) or JSIntKey
 * (type 1).
 * @throws {FrameError} as {@link decodeRejoinRequest}
 */
export function rejoinRequestMicMessage(phyPayload: Uint8Array): Uint8Array {
  requireRejoinRequest(phyPayload)
  return phyPayload.subarray(0, -MIC_SIZE)
}

/** RJcount0 or RJcount1: what stands in the place of DevNonce in the answer's MIC and key derivation. */
export function rejoinCount(request: RejoinRequestFields): number {
  return request.rejoinType === 1 ? request.rjCount1 : request.rjCount0
}

function requireRejoinRequest(phyPayload: Uint8Array): RejoinType {
  if (phyPayload.length !== REJOIN_REQUEST_02_SIZE && phyPayload.length !== REJOIN_REQUEST_1_SIZE) {
    throw new FrameError('frame_size', `a rejoin-request has 19 or 24 bytes, not ${phyPayload.length}`)
  }
  if (phyPayload[0] !== REJOIN_REQUEST_MHDR) throw new FrameError('frame_type', 'MHDR is not that of a rejoin-request')
  const rejoinType = phyPayload[1]
  if (rejoinType !== 0 && rejoinType !== 1 && rejoinType !== 2) {
    throw new FrameError('frame_type', 'a rejoin-request is of type 0, 1 or 2')
  }
  if (phyPayload.length !== sizeOf(rejoinType)) {
    throw new FrameError('frame_size', `a rejoin-request of type ${rejoinType} has ${sizeOf(rejoinType)} bytes`)
  }
  return rejoinType
}

function sizeOf(rejoinType: RejoinType): number {
  return rejoinType === 1 ? REJOIN_REQUEST_1_SIZE : REJOIN_REQUEST_02_SIZE
}
