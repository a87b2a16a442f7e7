import { type FuzzDevice, jsKeyOf, MIC_BYTES, networkRootOf, reversed, uint } from './device-keys.ts'

/** What a device sends to get a session, from the specifications: nothing here is the code under test. */

export type RejoinType = 0 | 1 | 2

/** A join-request or a rejoin-request, as far as its size and its first bytes say that it is one. */
export interface AirRequest {
  /** As the MIC of the join-accept names it (LoRaWAN 1.1 §6.2.5): ff for a join-request, or the rejoin type. */
  readonly type: typeof JOIN_REQUEST | RejoinType
  /** Lower-case hex, most significant byte first; rejoin-requests of types 0 and 2 have none. */
  readonly joinEui: string | undefined
  readonly devEui: string
  /** DevNonce, RJcount0 or RJcount1. */
  readonly count: number
}

export interface RejoinFields {
  readonly type: RejoinType
  /** Of the session; in types 0 and 2. Hex, most significant byte first. */
  readonly netId: string
  /** RJcount1 in type 1, and else RJcount0. */
  readonly count: number
  /** For types 0 and 2: under SNwkSIntKey, which only the network server has. */
  readonly mic: Buffer
}

export const JOIN_REQUEST = 0xff
const JOIN_BYTES = 23
/** MHDR of a rejoin-request: MType 110. */
const REJOIN_MHDR = 0xc0
export const REJOIN_BYTES: Readonly<Record<RejoinType, number>> = { 0: 19, 1: 24, 2: 19 }

/** A join-request of 23 bytes (LoRaWAN 1.0.3 §6.2.4). */
export function joinRequest(device: FuzzDevice, devNonce: number): Buffer {
  const unsigned = Buffer.concat([Buffer.of(0), reversed(device.joinEui), reversed(device.devEui), uint(2, devNonce)])
  return Buffer.concat([unsigned, micOf(networkRootOf(device), unsigned)])
}

/** A rejoin-request of 19 bytes, or 24 for type 1, which is signed with JSIntKey (LoRaWAN 1.1 §6.2.4). */
export function rejoinRequest(device: FuzzDevice, { type, netId, count, mic }: RejoinFields): Buffer {
  const origin = reversed(type === 1 ? device.joinEui : netId)
  const unsigned = Buffer.concat([Buffer.of(REJOIN_MHDR, type), origin, reversed(device.devEui), uint(2, count)])
  return Buffer.concat([unsigned, type === 1 ? micOf(jsKeyOf(device, 'jsIntKey'), unsigned) : mic])
}

/** Undefined for what has not the size of its kind. */
export function readAirRequest(frame: Buffer): AirRequest | undefined {
  const count = frame.length < 2 + MIC_BYTES ? 0 : frame.readUInt16LE(frame.length - MIC_BYTES - 2)
  if (frame[0] === 0)
    return frame.length === JOIN_BYTES
      ? { type: JOIN_REQUEST, joinEui: euiAt(frame, 1), devEui: euiAt(frame, 9), count }
      : undefined
  const type = frame[1]
  if (frame[0] !== REJOIN_MHDR || (type !== 0 && type !== 1 && type !== 2)) return undefined
  if (frame.length !== REJOIN_BYTES[type]) return undefined
  const joinEui = type === 1 ? euiAt(frame, 2) : undefined
  return { type, joinEui, devEui: euiAt(frame, type === 1 ? 10 : 5), count }
}

/**
 * Whether the device has made the frame, as far as a join server can tell: of a rejoin-request of type 0 or 2 it cannot
 * check the MIC. Devices of LoRaWAN 1.0 make no rejoin-requests.
 */
export function isRequestOf(device: FuzzDevice, frame: Buffer): boolean {
  const request = readAirRequest(frame)
  if (request === undefined || request.devEui !== device.devEui) return false
  if ((request.joinEui ?? device.joinEui) !== device.joinEui) return false
  if (request.type !== JOIN_REQUEST && device.nwkKey === undefined) return false
  if (request.type === 0 || request.type === 2) return true
  const key = request.type === 1 ? jsKeyOf(device, 'jsIntKey') : networkRootOf(device)
  return frame.subarray(-MIC_BYTES).equals(micOf(key, frame.subarray(0, -MIC_BYTES)))
}

function micOf(key: ReturnType<typeof networkRootOf>, message: Buffer): Buffer {
  return key.cmac(message).subarray(0, MIC_BYTES)
}

/** An EUI in a frame, most significant byte first. */
function euiAt(frame: Buffer, at: number): string {
  return Buffer.from(frame.subarray(at, at + 8))
    .reverse()
    .toString('hex')
}
