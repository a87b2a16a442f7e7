import {
  type DevEui,
  hexToBytes,
  type MacVersion,
  MacVersionError,
  type NetId,
  parseDevEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import { MessageError } from './message-error.ts'
import type { RequestHeader } from './parse-header.ts'
import { isAbsent, readHex, readHexOf, readUnsigned, requireHex } from './wire-values.ts'

/*
 * The members that JoinReq and RejoinReq share, each by itself: what a use-case gets is put together once, where its
 * type is. Every function throws MessageError.
 */

const CF_LIST_SIZE = 16
const MAX_RX_DELAY = 15

/** The sender of what only a network server may send. */
export function readNetId(header: RequestHeader): NetId {
  const netId = readHexOf(header.senderId, 3)
  if (netId !== undefined) return parseNetId(netId)
  throw new MessageError('Malformed', `SenderID of a ${header.messageType} must be a NetID of 3 bytes.`)
}

/** Lower-case hex, possibly of an odd number of digits; its size is for the caller to check. */
export function readFrameDigits(value: unknown): string {
  const digits = readHex(value)
  if (digits !== undefined && digits !== '') return digits
  throw new MessageError('Malformed', 'PHYPayload is missing or is not hex.')
}

/** TS002 leaves open which DevEUI counts when the member and the frame differ; a difference is refused. */
export function readDevEui(value: unknown, inFrame: DevEui): DevEui {
  const devEui = parseDevEui(requireHex('DevEUI', value, 8))
  if (devEui !== inFrame) throw new MessageError('Malformed', 'DevEUI differs from the DevEUI in PHYPayload.')
  return devEui
}

/** Undefined for a version that is not known here. */
export function readMacVersion(value: unknown): MacVersion | undefined {
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

/** One byte. */
export function readDlSettings(value: unknown): number {
  return Number.parseInt(requireHex('DLSettings', value, 1), 16)
}

/** 0 to 15. */
export function readRxDelay(value: unknown): number {
  const rxDelay = readUnsigned(value, MAX_RX_DELAY)
  if (rxDelay === undefined) throw new MessageError('Malformed', `RxDelay must be a number from 0 to ${MAX_RX_DELAY}.`)
  return rxDelay
}

/** 16 bytes. */
export function readCfList(value: unknown): Uint8Array | undefined {
  if (isAbsent(value)) return undefined
  return hexToBytes(requireHex('CFList', value, CF_LIST_SIZE))
}
