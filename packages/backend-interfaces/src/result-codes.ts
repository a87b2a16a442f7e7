import type { Dialect } from './dialects.ts'
import type { ProtocolVersion } from './protocol-version.ts'

/**
 * The internal name of every result code, with its spelling on the wire per protocol version. TS002 1.0 knows neither
 * NoAction nor FrameReplayed, and calls MalformedMessage MalformedRequest. ChirpStack, which always speaks 1.0, reads
 * the code as a closed enumeration and loses the whole answer over one that it does not know, so the 1.0 column has
 * 1.0 codes only.
 */
const WIRE = {
  Success: { '1.0': 'Success', '1.1': 'Success' },
  NoAction: { '1.0': 'Other', '1.1': 'NoAction' },
  MICFailed: { '1.0': 'MICFailed', '1.1': 'MICFailed' },
  FrameReplayed: { '1.0': 'JoinReqFailed', '1.1': 'FrameReplayed' },
  JoinReqFailed: { '1.0': 'JoinReqFailed', '1.1': 'JoinReqFailed' },
  NoRoamingAgreement: { '1.0': 'NoRoamingAgreement', '1.1': 'NoRoamingAgreement' },
  DevRoamingDisallowed: { '1.0': 'DevRoamingDisallowed', '1.1': 'DevRoamingDisallowed' },
  RoamingActDisallowed: { '1.0': 'RoamingActDisallowed', '1.1': 'RoamingActDisallowed' },
  ActivationDisallowed: { '1.0': 'ActivationDisallowed', '1.1': 'ActivationDisallowed' },
  UnknownDevEUI: { '1.0': 'UnknownDevEUI', '1.1': 'UnknownDevEUI' },
  UnknownDevAddr: { '1.0': 'UnknownDevAddr', '1.1': 'UnknownDevAddr' },
  UnknownSender: { '1.0': 'UnknownSender', '1.1': 'UnknownSender' },
  // "UnkownReceiver" (sic): the spelling of TS002 1.0 table 24, which every known peer sends in both versions.
  UnkownReceiver: { '1.0': 'UnkownReceiver', '1.1': 'UnkownReceiver' },
  Deferred: { '1.0': 'Deferred', '1.1': 'Deferred' },
  XmitFailed: { '1.0': 'XmitFailed', '1.1': 'XmitFailed' },
  InvalidFPort: { '1.0': 'InvalidFPort', '1.1': 'InvalidFPort' },
  InvalidProtocolVersion: { '1.0': 'InvalidProtocolVersion', '1.1': 'InvalidProtocolVersion' },
  StaleDeviceProfile: { '1.0': 'StaleDeviceProfile', '1.1': 'StaleDeviceProfile' },
  Malformed: { '1.0': 'MalformedRequest', '1.1': 'MalformedMessage' },
  FrameSizeError: { '1.0': 'FrameSizeError', '1.1': 'FrameSizeError' },
  Other: { '1.0': 'Other', '1.1': 'Other' },
} as const satisfies Record<string, Record<ProtocolVersion, string>>

/** What a message came to; one name for both protocol versions (TS002 table 24). */
export type ResultCode = keyof typeof WIRE

/** Every result but Success. */
export type FailureCode = Exclude<ResultCode, 'Success'>

export const RESULT_CODES = Object.keys(WIRE) as readonly ResultCode[]

/** The spelling of a result code towards a peer of this dialect that asked in `protocolVersion`. */
export function resultCodeFor(code: ResultCode, protocolVersion: ProtocolVersion, { resultCodes }: Dialect): string {
  return WIRE[code][resultCodes === 'as-asked' ? protocolVersion : resultCodes]
}

const BY_WIRE_NAME = new Map<string, ResultCode>([
  ...RESULT_CODES.map((code) => [WIRE[code]['1.1'], code] as const),
  ['MalformedRequest', 'Malformed'],
  // The prose of TS002 1.0 spells it right, and so may a peer.
  ['UnknownReceiver', 'UnkownReceiver'],
  // As brocaar/lorawan, the library of ChirpStack 3, writes it.
  ['RoamingActDisallowedA', 'RoamingActDisallowed'],
])

/** Reads a result code of either protocol version; undefined when no version knows it. */
export function parseResultCode(text: string): ResultCode | undefined {
  return BY_WIRE_NAME.get(text)
}
