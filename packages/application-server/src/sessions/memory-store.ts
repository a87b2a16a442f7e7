import { type DevEui, MAX_F_CNT } from '@mortise/lorawan'
import { storeFull } from '../errors.ts'
import {
  DEFAULT_STORE_LIMITS,
  firstStored,
  mergeSessions,
  newestFirst,
  type SessionStore,
  type SessionStoreLimits,
  sessionToForget,
  type UplinkAcceptance,
} from './session-store.ts'
import type { DownlinkCounterId, NewSession, SessionId, StoredSession } from './stored-session.ts'
import { acceptInWindow } from './uplink-window.ts'

/**
 * Sessions in memory. They end with the process, and with them what its downlink counters were: for tests, and for a
 * program that sends no downlinks.
 */
export class MemorySessionStore implements SessionStore {
  readonly #limits: SessionStoreLimits
  readonly #sessions = new Map<SessionId, StoredSession>()
  readonly #idsOf = new Map<DevEui, Set<SessionId>>()
  readonly #nextFCntDown = new Map<DownlinkCounterId, number>()

  constructor(limits: SessionStoreLimits = DEFAULT_STORE_LIMITS) {
    this.#limits = limits
  }

  begin(session: NewSession, nowMs: number): Promise<StoredSession | 'superseded'> {
    return attempt(() => {
      const known = this.#sessions.get(session.id)
      if (known !== undefined) return this.#put(mergeSessions(known, session))
      if (!this.#idsOf.has(session.devEui) && this.#idsOf.size >= this.#limits.maxDevices) throw storeFull()
      const first = firstStored(session, nowMs)
      const forgotten = sessionToForget([...this.#ofDevice(session.devEui), first])
      if (forgotten === first) return 'superseded'
      if (forgotten !== undefined) this.#remove(forgotten)
      return this.#put(first)
    })
  }

  sessionsOf(devEui: DevEui): Promise<readonly StoredSession[]> {
    return attempt(() => newestFirst(this.#ofDevice(devEui)))
  }

  acceptUplink(id: SessionId, fCnt: number, nowMs: number): Promise<UplinkAcceptance> {
    return attempt(() => {
      const session = this.#sessions.get(id)
      if (session === undefined) return 'session_unknown'
      const window = acceptInWindow(session, fCnt)
      if (typeof window === 'string') return window
      this.#put({ ...session, ...window, seenAtMs: nowMs })
      return 'accepted'
    })
  }

  allocateFCntDown(counter: DownlinkCounterId, atLeast: number): Promise<number | 'f_cnt_exhausted'> {
    return attempt(() => {
      const fCnt = Math.max(this.#nextFCntDown.get(counter) ?? 0, atLeast)
      if (fCnt > MAX_F_CNT) return 'f_cnt_exhausted'
      this.#nextFCntDown.set(counter, fCnt + 1)
      return fCnt
    })
  }

  forgetDevices(seenBeforeMs: number): Promise<number> {
    return attempt(() => {
      const gone = [...this.#idsOf.keys()].filter((devEui) =>
        this.#ofDevice(devEui).every((session) => session.seenAtMs < seenBeforeMs),
      )
      for (const session of gone.flatMap((devEui) => this.#ofDevice(devEui))) this.#remove(session)
      return gone.length
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return attempt(() => {
      this.#sessions.clear()
      this.#idsOf.clear()
      this.#nextFCntDown.clear()
    })
  }

  #ofDevice(devEui: DevEui): StoredSession[] {
    return [...(this.#idsOf.get(devEui) ?? [])].flatMap((id) => this.#sessions.get(id) ?? [])
  }

  #put(session: StoredSession): StoredSession {
    this.#sessions.set(session.id, session)
    const ids = this.#idsOf.get(session.devEui) ?? new Set()
    this.#idsOf.set(session.devEui, ids.add(session.id))
    return session
  }

  #remove({ id, devEui }: StoredSession): void {
    this.#sessions.delete(id)
    const ids = this.#idsOf.get(devEui)
    ids?.delete(id)
    if (ids?.size === 0) this.#idsOf.delete(devEui)
  }
}

/** What `work` throws becomes a rejection. */
function attempt<Result>(work: () => Result): Promise<Result> {
  return new Promise((resolve) => {
    resolve(work())
  })
}
