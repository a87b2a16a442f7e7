import {
  type DevAddr,
  type DevEui,
  decodeJoinRequest,
  FrameError,
  hexToBytes,
  JOIN_REQUEST_SIZE,
  type JoinRequest,
  type MacVersion,
  type NetId,
  parseDevAddr,
} from '@mortise/lorawan'
import {
  readCfList,
  readDevEui,
  readDlSettings,
  readFrameDigits,
  readMacVersion,
  readNetId,
  readRxDelay,
} from './activation-members.ts'
import type { Members } from './json-object.ts'
import { MessageError } from './message-error.ts'
import type { RequestHeader } from './parse-header.ts'
import { requireHex } from './wire-values.ts'

/** A JoinReq (TS002 1.0 §8 step 3). */
export interface JoinReq {
  readonly header: RequestHeader
  /** The sender: header.senderId, which a JoinReq requires to be a NetID. */
  readonly netId: NetId
  /** What the network server believes; undefined when unknown to us. The device record decides, not this. */
  readonly macVersion: MacVersion | undefined
  /** The join-request frame, 23 bytes in wire order. Its MIC is not checked here. */
  readonly phyPayload: Uint8Array
  /** What phyPayload says. Its JoinEUI may differ from header.receiverId. */
  readonly frame: JoinRequest
  /** Equal to the DevEUI inside the frame. */
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** One byte as it goes into the join-accept: OptNeg, RX1DROffset, RX2DataRate. */
  readonly dlSettings: number
  /** 0 to 15; 0 means one second, as 1 does. */
  readonly rxDelay: number
  /** 16 bytes in wire order, copied as they are. */
  readonly cfList?: Uint8Array | undefined
}

/**
 * Reads the members of a JoinReq.
 * @throws MessageError Malformed, or FrameSizeError for a PHYPayload that has not the 23 bytes of a join-request
 */
export function parseJoinReq(header: RequestHeader, members: Members): JoinReq {
  const netId = readNetId(header)
  const phyPayload = readJoinRequestFrame(members['PHYPayload'])
  const frame = decodeFrame(phyPayload)
  return {
    header,
    netId,
    macVersion: readMacVersion(members['MACVersion']),
    phyPayload,
    frame,
    devEui: readDevEui(members['DevEUI'], frame.devEui),
    devAddr: parseDevAddr(requireHex('DevAddr', members['DevAddr'], 4)),
    dlSettings: readDlSettings(members['DLSettings']),
    rxDelay: readRxDelay(members['RxDelay']),
    cfList: readCfList(members['CFList']),
  }
}

function readJoinRequestFrame(value: unknown): Uint8Array {
  const digits = readFrameDigits(value)
  if (digits.length !== 2 * JOIN_REQUEST_SIZE) {
    throw new MessageError('FrameSizeError', `PHYPayload of a join-request has ${JOIN_REQUEST_SIZE} bytes.`)
  }
  return hexToBytes(digits)
}

function decodeFrame(phyPayload: Uint8Array): JoinRequest {
  try {
    return decodeJoinRequest(phyPayload)
  } catch (error) {
    if (error instanceof FrameError) throw new MessageError('Malformed', 'PHYPayload is not a join-request (MHDR).')
    throw error
  }
}
