import {
  ApplicationServerError,
  type DeviceSessions,
  type Reading,
  type UplinkEvent,
} from '@mortise/application-server'
import { reasonOf } from './reason-of.ts'

/**
 * - `opened`: the uplink in clear; `first` unless it was accepted before.
 * - `put_off`: it may be opened later, when its session or its key is known.
 * - `impossible`: no event and no operator can make it readable.
 *
 * `says` is `reason` in words, for an operator; neither key nor payload.
 */
export type Opening =
  | { readonly kind: 'opened'; readonly reading: Reading; readonly first: boolean }
  | { readonly kind: 'put_off'; readonly reason: string; readonly says: string }
  | { readonly kind: 'impossible'; readonly reason: string; readonly says: string }

/** Errors after which an operator can still make an uplink readable: with another KEK, or with room for the device. */
const MENDABLE: ReadonlySet<string> = new Set(['kek_label_unknown', 'key_wrap_integrity', 'store_full'])

/**
 * Opens an uplink.
 * @throws {ApplicationServerError} `store_failed`, `store_newer`: they say nothing about this uplink
 */
export async function openUplink(sessions: DeviceSessions, uplink: UplinkEvent): Promise<Opening> {
  try {
    const outcome = await sessions.uplink(uplink)
    if (outcome.kind !== 'session_unknown') {
      return { kind: 'opened', reading: outcome.reading, first: outcome.kind === 'reading' }
    }
    // A session that was replaced eight times does not come back.
    if (outcome.reason === 'superseded') {
      return { kind: 'impossible', reason: 'session_superseded', says: 'Eight newer sessions of the device are known.' }
    }
    if (outcome.reason === 'no_key') return { kind: 'put_off', reason: outcome.error.code, says: outcome.error.message }
    const says = 'The network told neither session nor key, and no join of this session is known.'
    return { kind: 'put_off', reason: 'session_not_announced', says }
  } catch (error) {
    if (isStoreFailure(error)) throw error
    // A fault of this program must not lose an uplink.
    if (!(error instanceof ApplicationServerError)) {
      return { kind: 'put_off', reason: 'internal_error', says: reasonOf(error) }
    }
    return { kind: MENDABLE.has(error.code) ? 'put_off' : 'impossible', reason: error.code, says: error.message }
  }
}

/** The storage of sessions fails for every device, until it works again. */
export function isStoreFailure(error: unknown): boolean {
  return error instanceof ApplicationServerError && (error.code === 'store_failed' || error.code === 'store_newer')
}
