import { type DevEui, type NetId, parseDevEui } from '@mortise/lorawan'
import { readNetId } from './activation-members.ts'
import type { Members } from './json-object.ts'
import type { RequestHeader } from './parse-header.ts'
import { requireHex } from './wire-values.ts'

/** A HomeNSReq: which network is the home of this device? It carries no frame, so nothing proves a radio. */
export interface HomeNsReq {
  readonly header: RequestHeader
  /** The sender: header.senderId, which a HomeNSReq requires to be a NetID. */
  readonly netId: NetId
  readonly devEui: DevEui
}

/** @throws MessageError Malformed */
export function parseHomeNsReq(header: RequestHeader, members: Members): HomeNsReq {
  return { header, netId: readNetId(header), devEui: parseDevEui(requireHex('DevEUI', members['DevEUI'], 8)) }
}
