import type { DevEui } from '@mortise/lorawan'
import type { DownlinkCounterId, NewSession, SessionId, StoredSession } from './stored-session.ts'

/**
 * How many sessions of one device are kept: the one in use, newer ones whose first uplink is awaited, and older ones
 * whose last uplinks may still arrive.
 */
export const MAX_SESSIONS_PER_DEVICE = 8

export interface SessionStoreLimits {
  /** A session of one more device is refused with `store_full`. */
  readonly maxDevices: number
}

export const DEFAULT_STORE_LIMITS: SessionStoreLimits = { maxDevices: 1_000_000 }

export type UplinkAcceptance = 'accepted' | 'repeated' | 'too_old' | 'session_unknown'

/**
 * Where an owner keeps the sessions of its devices. Every method is one atomic step, also between processes that share a
 * store. Keys lie in it as the envelopes in which they came.
 *
 * All methods reject with {@link ApplicationServerError} `store_failed` when the storage underneath fails.
 */
export interface SessionStore extends AsyncDisposable {
  /**
   * Makes a session known, beside the others of its device. Of one that is known already it adds what was not known of
   * it, and takes the earlier beginning; nothing else changes. When the device has 8, the oldest that is not in use goes;
   * were that the new one, it is `superseded` and is not kept. So a session that has gone does not come back by an old
   * event, with its counters forgotten.
   * @throws {ApplicationServerError} `store_full`
   */
  begin(session: NewSession, nowMs: number): Promise<StoredSession | 'superseded'>

  /** The sessions of a device, the newest first; several devices may have one DevAddr. */
  sessionsOf(devEui: DevEui): Promise<readonly StoredSession[]>

  /** Accepts the uplink of a full counter, if it was not accepted before. Of any number of copies one is accepted. */
  acceptUplink(id: SessionId, fCnt: number, nowMs: number): Promise<UplinkAcceptance>

  /**
   * The counter for one downlink: the next one, or `atLeast` when that is ahead. It is durable before it is given: no
   * crash and no other process can make it be given again. Of each key that ever sealed a downlink this is kept for
   * good, also when its session has gone.
   */
  allocateFCntDown(counter: DownlinkCounterId, atLeast: number): Promise<number | 'f_cnt_exhausted'>

  /** Removes all sessions of devices of which none was seen since; the number of devices. It reads the whole store. */
  forgetDevices(seenBeforeMs: number): Promise<number>
}

/**
 * The session that a device uses: the newest one with an accepted uplink. A join-accept may be lost on air, so that a
 * session is nothing before its first uplink; and uplinks that come late do not bring an old one back.
 */
export function sessionInUse(newestFirst: readonly StoredSession[]): StoredSession | undefined {
  return newestFirst.find((session) => session.lastFCntUp !== undefined)
}

export function newestFirst(sessions: readonly StoredSession[]): StoredSession[] {
  return sessions.toSorted((one, other) => other.begunAtMs - one.begunAtMs || (one.id < other.id ? 1 : -1))
}

/** What must go when `sessions` is one too many, or undefined. */
export function sessionToForget(sessions: readonly StoredSession[]): StoredSession | undefined {
  if (sessions.length <= MAX_SESSIONS_PER_DEVICE) return undefined
  const ordered = newestFirst(sessions)
  const used = sessionInUse(ordered)
  return ordered.findLast((session) => session !== used)
}

/** What is known of a session after it was announced once more. */
export function mergeSessions(known: StoredSession, told: NewSession): StoredSession {
  return {
    ...known,
    joinEui: known.joinEui ?? told.joinEui,
    sessionKeyId: known.sessionKeyId ?? told.sessionKeyId,
    appSKey: known.appSKey ?? told.appSKey,
    begunAtMs: Math.min(known.begunAtMs, told.begunAtMs),
  }
}

export function firstStored(session: NewSession, nowMs: number): StoredSession {
  return { ...session, lastFCntUp: undefined, lateFCntUp: 0, seenAtMs: nowMs }
}
