import { AnswerError, type KeyEnvelope } from '@mortise/backend-interfaces'
import { type DevAddr, type DevEui, type JoinEui, MAX_F_CNT } from '@mortise/lorawan'
import type { AppSKeyClient } from '../app-s-key-client.ts'
import { ApplicationServerError } from '../errors.ts'
import type { KekRing } from '../kek-ring.ts'
import {
  cryptPayload,
  type PayloadContext,
  requireApplicationPort,
  requireCounter,
  requirePayloadSize,
} from '../payload.ts'
import type { ClearDownlink, DecryptedUplink, EncryptedDownlink, EncryptedUplink } from '../session.ts'
import { EnvelopeSource } from './envelope-source.ts'
import { type SessionStore, sessionInUse } from './session-store.ts'
import {
  type AnnouncedSession,
  downlinkCounterOf,
  requireSessionKeyId,
  requireWrapped,
  type SessionId,
  sessionIdOf,
  type StoredSession,
  type WrappedAppSKey,
} from './stored-session.ts'
import { fullFCntUp } from './uplink-window.ts'

/** What a network tells of a session, with a join or with an uplink. Members that it leaves out are absent. */
export interface SessionEvent {
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  readonly joinEui?: JoinEui | undefined
  /** Opaque, 1 to 64 bytes. */
  readonly sessionKeyId?: Uint8Array | undefined
  readonly appSKey?: KeyEnvelope | undefined
  /** When it happened, by the network's clock, milliseconds of Unix time. */
  readonly timeMs: number
}

export type UplinkEvent = SessionEvent & EncryptedUplink

/** An uplink in clear. DevEUI, session and FCnt together name it: every copy of it has the same. */
export interface Reading extends DecryptedUplink {
  readonly devEui: DevEui
  readonly session: SessionId
}

/**
 * - `reading`: the first copy of an uplink.
 * - `repeated`: a copy of one that was accepted, or one too old to tell. The same reading again, for a caller that may
 *   have died between accepting an uplink and passing it on.
 * - `session_unknown`: the uplink cannot be read. `not_announced`: the network told neither session nor key, and no join
 *   of it is known. `superseded`: its session was replaced too long ago. `no_key`: the join server gave no AppSKey, for
 *   the reason in `error`; it is asked again after a minute.
 */
export type UplinkOutcome =
  | { readonly kind: 'reading' | 'repeated'; readonly reading: Reading }
  | { readonly kind: 'session_unknown'; readonly reason: 'not_announced' | 'superseded' }
  | {
      readonly kind: 'session_unknown'
      readonly reason: 'no_key'
      readonly error: ApplicationServerError | AnswerError
    }

export interface SessionDownlink extends EncryptedDownlink {
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  readonly session: SessionId
}

export interface DeviceSessionsOptions {
  readonly store: SessionStore
  readonly kekRing: KekRing
  /** Asks the join server for keys that the network does not pass on. */
  readonly appSKeyClient?: Pick<AppSKeyClient, 'fetchEnvelope'> | undefined
  /**
   * Whose word tells which AppSKey is which device's. An envelope does not say whose key is in it: a network could tell
   * that of one device with the events of another. The join server answers for a DevEUI; it is asked once a session, and
   * needs SessionKeyID and JoinEUI in the events. Default `network`.
   */
  readonly keysFrom?: 'network' | 'join-server' | undefined
  /** Milliseconds of Unix time. */
  readonly now?: () => number
}

/**
 * How far a network's clock may be ahead of ours. A session that began in the future would stay the newest one until then,
 * and downlinks would be sealed for it whatever comes after; eight of them would be all that are kept.
 */
const MAX_AHEAD_MS = 24 * 3_600_000

type KeyedSession = StoredSession & { readonly appSKey: WrappedAppSKey }

/**
 * The sessions of an owner's devices, as events of a network tell of them: opens uplinks, each once, and seals downlinks,
 * each under a counter of its own. It keeps no state beside the store; several processes may share that.
 *
 * LoRaWAN gives the application no MIC of its own: that a ciphertext is the device's is what the network says.
 */
export class DeviceSessions {
  readonly #store: SessionStore
  readonly #kekRing: KekRing
  readonly #envelopes: EnvelopeSource
  readonly #keysFrom: 'network' | 'join-server'
  readonly #now: () => number

  constructor({ store, kekRing, appSKeyClient, keysFrom = 'network', now = Date.now }: DeviceSessionsOptions) {
    this.#store = store
    this.#kekRing = kekRing
    this.#envelopes = new EnvelopeSource(appSKeyClient, now)
    this.#keysFrom = keysFrom
    this.#now = now
  }

  /**
   * Makes the session of a join known. The device's current one stays in use until the first uplink of the new one.
   * An event without SessionKeyID and AppSKey tells nothing, and is ignored.
   * @throws {ApplicationServerError} `session_key_id_size`, `time_invalid`, `store_failed`, `store_full`, and as
   * {@link KekRing.unwrapAppSKey} where the AppSKey came with the event and does not open
   */
  async joined(event: SessionEvent): Promise<void> {
    await this.#announce(event)
  }

  /**
   * Opens an uplink.
   * @throws {ApplicationServerError} `f_port_not_application`, `f_cnt_invalid`, `f_cnt_replayed` (of 16 bits alone),
   * `payload_size`, and as {@link DeviceSessions.joined}
   */
  async uplink(event: UplinkEvent): Promise<UplinkOutcome> {
    requireApplicationPort(event.fPort)
    requirePayloadSize(event.frmPayload)
    const session = (await this.#announce(event)) ?? (await this.#newestAt(event))
    if (session === undefined) return { kind: 'session_unknown', reason: 'not_announced' }
    if (session === 'superseded') return { kind: 'session_unknown', reason: 'superseded' }
    const keyed = await this.#withKey(session)
    return 'kind' in keyed ? keyed : await this.#open(keyed, event)
  }

  /**
   * Seals a downlink for the session that the device uses, under a counter that nobody else gets. In LoRaWAN 1.0.x the
   * network counts its own downlinks with the same counter: `networkNextFCntDown` is how far it has come.
   * @throws {ApplicationServerError} `session_unknown`, `f_port_not_application`, `payload_size`, `f_cnt_invalid`,
   * `f_cnt_exhausted`, `store_failed`, and as {@link KekRing.unwrapAppSKey}
   */
  async downlink(devEui: DevEui, clear: ClearDownlink, networkNextFCntDown = 0): Promise<SessionDownlink> {
    const { fPort, payload } = clear
    requireApplicationPort(fPort)
    requirePayloadSize(payload)
    requireCounter(networkNextFCntDown, MAX_F_CNT + 1)
    const session = sessionInUse(await this.#store.sessionsOf(devEui))
    if (session === undefined || !hasKey(session)) throw sessionUnknown()
    const { id, devAddr } = session
    using appSKey = this.#kekRing.unwrapAppSKey(session.appSKey)
    const fCnt = await this.#store.allocateFCntDown(downlinkCounterOf(appSKey, devAddr), networkNextFCntDown)
    if (fCnt === 'f_cnt_exhausted') {
      throw new ApplicationServerError('f_cnt_exhausted', 'FCntDown is used up; join again.')
    }
    const frmPayload = cryptPayload(appSKey, { direction: 'down', devAddr, fCnt }, payload)
    return { devEui, devAddr, session: id, fPort, fCnt, frmPayload }
  }

  /** The session that an event names, made known; undefined when it names none. */
  async #announce(event: SessionEvent): Promise<StoredSession | 'superseded' | undefined> {
    const { devEui, devAddr, joinEui, sessionKeyId } = event
    requireTime(event.timeMs)
    if (sessionKeyId !== undefined) requireSessionKeyId(sessionKeyId)
    const told = this.#keysFrom === 'network' ? event.appSKey : undefined
    const appSKey = told === undefined ? undefined : requireWrapped(told)
    const announced = { devEui, devAddr, joinEui, sessionKeyId, appSKey }
    const id = sessionIdOf(announced)
    if (id === undefined) return undefined
    const known = (await this.#store.sessionsOf(devEui)).find((session) => session.id === id)
    const nowMs = this.#now()
    const begunAtMs = Math.min(event.timeMs, nowMs + MAX_AHEAD_MS)
    if (known !== undefined && !addsTo(known, announced, begunAtMs)) return known
    // Not kept before it is seen to open: a wrong one would stay in the place of the right one.
    if (appSKey !== undefined) this.#kekRing.unwrapAppSKey(appSKey)[Symbol.dispose]()
    return await this.#store.begin({ ...announced, id, begunAtMs }, nowMs)
  }

  /** For a network that names no session with an uplink: the newest one of this DevAddr. */
  async #newestAt({ devEui, devAddr }: SessionEvent): Promise<StoredSession | undefined> {
    return (await this.#store.sessionsOf(devEui)).find((session) => session.devAddr === devAddr)
  }

  async #withKey(session: StoredSession): Promise<KeyedSession | Extract<UplinkOutcome, { kind: 'session_unknown' }>> {
    if (hasKey(session)) return session
    try {
      const appSKey = await this.#envelopes.envelopeOf(session)
      const known = await this.#store.begin({ ...session, appSKey }, this.#now())
      if (known === 'superseded') return { kind: 'session_unknown', reason: 'superseded' }
      // Another process may have had an answer first.
      return { ...known, appSKey: known.appSKey ?? appSKey }
    } catch (error) {
      if (!(error instanceof AnswerError) && !isRefusalOfKey(error)) throw error
      return { kind: 'session_unknown', reason: 'no_key', error }
    }
  }

  async #open(session: KeyedSession, event: UplinkEvent): Promise<UplinkOutcome> {
    const fCnt = fullFCntUp(session, event)
    const context: PayloadContext = { direction: 'up', devAddr: session.devAddr, fCnt }
    using appSKey = this.#kekRing.unwrapAppSKey(session.appSKey)
    const payload = cryptPayload(appSKey, context, event.frmPayload)
    const acceptance = await this.#store.acceptUplink(session.id, fCnt, this.#now())
    if (acceptance === 'session_unknown') return { kind: 'session_unknown', reason: 'superseded' }
    const reading = { devEui: session.devEui, session: session.id, fPort: event.fPort, fCnt, payload }
    return { kind: acceptance === 'accepted' ? 'reading' : 'repeated', reading }
  }
}

function hasKey(session: StoredSession): session is KeyedSession {
  return session.appSKey !== undefined
}

/** Does an event tell more of a session than is known: saves a write, and an envelope to open, for every uplink. */
function addsTo(known: StoredSession, { joinEui, appSKey }: AnnouncedSession, begunAtMs: number): boolean {
  if (known.appSKey === undefined && appSKey !== undefined) return true
  return (known.joinEui === undefined && joinEui !== undefined) || begunAtMs < known.begunAtMs
}

function isRefusalOfKey(error: unknown): error is ApplicationServerError {
  return error instanceof ApplicationServerError && !error.code.startsWith('store_')
}

function requireTime(timeMs: number): void {
  if (Number.isSafeInteger(timeMs)) return
  throw new ApplicationServerError('time_invalid', `${timeMs} is no time in whole milliseconds.`)
}

function sessionUnknown(): ApplicationServerError {
  return new ApplicationServerError('session_unknown', 'No uplink of this device has been accepted here.')
}
