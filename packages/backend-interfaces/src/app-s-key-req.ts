import { type DevEui, hexToBytes, parseDevEui } from '@mortise/lorawan'
import type { Members } from './json-object.ts'
import { MessageError } from './message-error.ts'
import type { RequestHeader } from './parse-header.ts'
import { readHex, requireHex } from './wire-values.ts'

/** SessionKeyID is opaque and of any length in TS002; this bounds it, in bytes. */
export const MAX_SESSION_KEY_ID_BYTES = 64

/** An AppSKeyReq (TS002 1.0 §8 step 8). The session is named by header.receiverId (JoinEUI), DevEUI and SessionKeyID. */
export interface AppSKeyReq {
  readonly header: RequestHeader
  readonly devEui: DevEui
  /** Opaque, 1 to 64 bytes. */
  readonly sessionKeyId: Uint8Array
}

/** @throws MessageError Malformed */
export function parseAppSKeyReq(header: RequestHeader, members: Members): AppSKeyReq {
  return {
    header,
    devEui: parseDevEui(requireHex('DevEUI', members['DevEUI'], 8)),
    sessionKeyId: readSessionKeyId(members['SessionKeyID']),
  }
}

function readSessionKeyId(value: unknown): Uint8Array {
  const digits = readHex(value)
  if (digits === undefined || digits === '')
    throw new MessageError('Malformed', 'SessionKeyID is missing or is not hex.')
  if (digits.length % 2 !== 0) throw new MessageError('Malformed', 'SessionKeyID has an odd number of hex digits.')
  if (digits.length > 2 * MAX_SESSION_KEY_ID_BYTES) {
    throw new MessageError('Malformed', `SessionKeyID is longer than ${MAX_SESSION_KEY_ID_BYTES} bytes.`)
  }
  return hexToBytes(digits)
}
