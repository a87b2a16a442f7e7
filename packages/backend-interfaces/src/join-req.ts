import {
  type DevAddr,
  type DevEui,
  decodeJoinRequest,
  FrameError,
  hexToBytes,
  JOIN_REQUEST_SIZE,
  type JoinRequest,
  type MacVersion,
  MacVersionError,
  type NetId,
  parseDevAddr,
  parseDevEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import type { Members } from './json-object.ts'
import { MessageError } from './message-error.ts'
import type { RequestHeader } from './parse-header.ts'
import { isAbsent, readHex, readHexOf, readUnsigned, requireHex } from './wire-values.ts'

const CF_LIST_SIZE = 16
const MAX_RX_DELAY = 15

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
  const netId = readHexOf(header.senderId, 3)
  if (netId === undefined) throw new MessageError('Malformed', 'SenderID of a JoinReq must be a NetID of 3 bytes.')
  const phyPayload = readJoinRequestFrame(members['PHYPayload'])
  const frame = decodeFrame(phyPayload)
  return {
    header,
    netId: parseNetId(netId),
    macVersion: readMacVersion(members['MACVersion']),
    phyPayload,
    frame,
    devEui: readDevEui(members['DevEUI'], frame),
    devAddr: parseDevAddr(requireHex('DevAddr', members['DevAddr'], 4)),
    dlSettings: Number.parseInt(requireHex('DLSettings', members['DLSettings'], 1), 16),
    rxDelay: readRxDelay(members['RxDelay']),
    cfList: readCfList(members['CFList']),
  }
}

function readJoinRequestFrame(value: unknown): Uint8Array {
  const digits = readHex(value)
  if (digits === undefined || digits === '') {
    throw new MessageError('Malformed', 'PHYPayload is missing or is not hex.')
  }
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

/** TS002 leaves open which DevEUI counts when the member and the frame differ; a difference is refused. */
function readDevEui(value: unknown, frame: JoinRequest): DevEui {
  const devEui = parseDevEui(requireHex('DevEUI', value, 8))
  if (devEui !== frame.devEui) throw new MessageError('Malformed', 'DevEUI differs from the DevEUI in PHYPayload.')
  return devEui
}

function readMacVersion(value: unknown): MacVersion | undefined {
  if (typeof value !== 'string' || value === '') {
    throw new MessageError('Malformed', 'MACVersion is missing or is not a string.')
  }
  try {
    return parseMacVersion(value)
  } catch (error) {
    if (error instanceof MacVersionError) return undefined
    throw error
  }
}

function readRxDelay(value: unknown): number {
  const rxDelay = readUnsigned(value, MAX_RX_DELAY)
  if (rxDelay === undefined) throw new MessageError('Malformed', `RxDelay must be a number from 0 to ${MAX_RX_DELAY}.`)
  return rxDelay
}

function readCfList(value: unknown): Uint8Array | undefined {
  if (isAbsent(value)) return undefined
  return hexToBytes(requireHex('CFList', value, CF_LIST_SIZE))
}
