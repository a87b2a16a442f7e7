import {
  type DevAddr,
  type DevEui,
  decodeRejoinRequest,
  FrameError,
  hasOptNeg,
  hexToBytes,
  type JoinEui,
  type MacVersion,
  type NetId,
  parseDevAddr,
  REJOIN_REQUEST_02_SIZE,
  REJOIN_REQUEST_1_SIZE,
  type RejoinRequest,
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

/** A RejoinReq (TS002 1.0 §8 step 3, with a rejoin-request); of a device of LoRaWAN 1.1 by its nature. */
export interface RejoinReq {
  readonly header: RequestHeader
  /** The sender: header.senderId, which a RejoinReq requires to be a NetID. */
  readonly netId: NetId
  /** What the network server believes; undefined when unknown to us. The device record decides, not this. */
  readonly macVersion: MacVersion | undefined
  /** The rejoin-request frame, 19 bytes (types 0, 2) or 24 (type 1) in wire order. Its MIC is not checked here. */
  readonly phyPayload: Uint8Array
  /** What phyPayload says. */
  readonly frame: RejoinRequest
  /** What names the key set: the JoinEUI of the frame, or, for the types that carry none, header.receiverId. */
  readonly joinEui: JoinEui
  /** Equal to the DevEUI inside the frame. */
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** One byte as it goes into the join-accept; OptNeg is set. */
  readonly dlSettings: number
  /** 0 to 15; 0 means one second, as 1 does. */
  readonly rxDelay: number
  /** 16 bytes in wire order, copied as they are. */
  readonly cfList?: Uint8Array | undefined
}

/**
 * Reads the members of a RejoinReq.
 * @throws MessageError Malformed (also when OptNeg is not set: a rejoin and a 1.0 answer contradict one another), or
 * FrameSizeError for a PHYPayload that has not the size of its rejoin type
 */
export function parseRejoinReq(header: RequestHeader, members: Members): RejoinReq {
  const netId = readNetId(header)
  const phyPayload = readRejoinRequestFrame(members['PHYPayload'])
  const frame = decodeFrame(phyPayload)
  return {
    header,
    netId,
    macVersion: readMacVersion(members['MACVersion']),
    phyPayload,
    frame,
    joinEui: frame.rejoinType === 1 ? frame.joinEui : header.receiverId,
    devEui: readDevEui(members['DevEUI'], frame.devEui),
    devAddr: parseDevAddr(requireHex('DevAddr', members['DevAddr'], 4)),
    dlSettings: readOptNeg(members['DLSettings']),
    rxDelay: readRxDelay(members['RxDelay']),
    cfList: readCfList(members['CFList']),
  }
}

function readRejoinRequestFrame(value: unknown): Uint8Array {
  const digits = readFrameDigits(value)
  if (digits.length !== 2 * REJOIN_REQUEST_02_SIZE && digits.length !== 2 * REJOIN_REQUEST_1_SIZE) throw wrongSize()
  return hexToBytes(digits)
}

function decodeFrame(phyPayload: Uint8Array): RejoinRequest {
  try {
    return decodeRejoinRequest(phyPayload)
  } catch (error) {
    if (!(error instanceof FrameError)) throw error
    if (error.code === 'frame_size') throw wrongSize()
    throw new MessageError('Malformed', 'PHYPayload is not a rejoin-request (MHDR or type).')
  }
}

function wrongSize(): MessageError {
  const sizes = `${REJOIN_REQUEST_02_SIZE} bytes (types 0, 2) or ${REJOIN_REQUEST_1_SIZE} (type 1)`
  return new MessageError('FrameSizeError', `PHYPayload of a rejoin-request has ${sizes}.`)
}

function readOptNeg(value: unknown): number {
  const dlSettings = readDlSettings(value)
  if (hasOptNeg(dlSettings)) return dlSettings
  throw new MessageError('Malformed', 'DLSettings of a RejoinReq must have OptNeg set: only LoRaWAN 1.1 rejoins.')
}
