import { createHash } from 'node:crypto'
import type { KeyEnvelope } from '@mortise/backend-interfaces'
import { bytesToHex, type DevAddr, type DevEui, type JoinEui } from '@mortise/lorawan'
import type { AppSKey } from '../app-s-key.ts'
import { ApplicationServerError } from '../errors.ts'
import type { UplinkWindow } from './uplink-window.ts'

declare const brand: unique symbol

/** 32 hexadecimal digits, opaque: the same for the same session, whoever computes it. */
export type SessionId = string & { readonly [brand]: 'SessionId' }

/** 32 hexadecimal digits, opaque: one for each AppSKey and DevAddr, which together decide a key stream. */
export type DownlinkCounterId = string & { readonly [brand]: 'DownlinkCounterId' }

/** An AppSKey as it came: 24 bytes under the KEK that the label names. Never in clear. */
export interface WrappedAppSKey {
  readonly kekLabel: string
  readonly aesKey: Uint8Array
}

/** What a network tells of a session, with a join or with an uplink. */
export interface AnnouncedSession {
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** Whom to ask for the AppSKey. */
  readonly joinEui?: JoinEui | undefined
  /** Opaque, 1 to 64 bytes. */
  readonly sessionKeyId?: Uint8Array | undefined
  readonly appSKey?: WrappedAppSKey | undefined
}

/** A session that a store has not seen yet, or knows less of. */
export interface NewSession extends AnnouncedSession {
  readonly id: SessionId
  /** When the network told of it first, milliseconds of Unix time. It decides which of two sessions is the newer one. */
  readonly begunAtMs: number
}

export interface StoredSession extends NewSession, UplinkWindow {
  /** When it was begun or its last uplink was accepted, by the clock of this machine, milliseconds of Unix time. */
  readonly seenAtMs: number
}

const SESSION_KEY_ID_MAX = 64
const WRAPPED_SIZE = 24
const ID_BYTES = 16
const COUNTER_CONTEXT = 'mortise downlink counter\0'

/**
 * Names a session by DevEUI, DevAddr and its SessionKeyID; where the network gives none by the envelope, of which every
 * session has another one. DevAddr is part of it: a network that sends one join-request twice to its join server gives
 * two addresses for one key. Undefined when there is neither.
 */
export function sessionIdOf(session: AnnouncedSession): SessionId | undefined {
  const { devEui, devAddr, sessionKeyId, appSKey } = session
  const name = sessionKeyId === undefined ? envelopeName(appSKey) : ['id', bytesToHex(sessionKeyId)]
  if (name === undefined) return undefined
  const digest = createHash('sha256')
    .update(JSON.stringify([devEui, devAddr, ...name]))
    .digest()
  return bytesToHex(digest.subarray(0, ID_BYTES)) as SessionId
}

/**
 * Names the downlink counter of a key. It goes by the key and not by what the network calls the session: the network
 * could tell of one key under a new SessionKeyID, and would learn two payloads from one counter.
 */
export function downlinkCounterOf(appSKey: AppSKey, devAddr: DevAddr): DownlinkCounterId {
  const digest = appSKey.use((key) => createHash('sha256').update(COUNTER_CONTEXT).update(devAddr).update(key).digest())
  return bytesToHex(digest.subarray(0, ID_BYTES)) as DownlinkCounterId
}

function envelopeName(appSKey: WrappedAppSKey | undefined): string[] | undefined {
  return appSKey === undefined ? undefined : ['envelope', appSKey.kekLabel, bytesToHex(appSKey.aesKey)]
}

/**
 * An envelope that may be kept: a copy of it.
 * @throws {ApplicationServerError} `key_in_clear`, `envelope_size`
 */
export function requireWrapped({ kekLabel, aesKey }: KeyEnvelope): WrappedAppSKey {
  if (kekLabel === undefined || kekLabel === '') {
    throw new ApplicationServerError('key_in_clear', 'The AppSKey came in clear, so the network can read it too.')
  }
  if (aesKey.length !== WRAPPED_SIZE) {
    throw new ApplicationServerError('envelope_size', `A wrapped AppSKey has ${WRAPPED_SIZE} bytes.`)
  }
  return { kekLabel, aesKey: Uint8Array.from(aesKey) }
}

/** @throws {ApplicationServerError} `session_key_id_size` */
export function requireSessionKeyId(sessionKeyId: Uint8Array): void {
  if (sessionKeyId.length >= 1 && sessionKeyId.length <= SESSION_KEY_ID_MAX) return
  throw new ApplicationServerError('session_key_id_size', `A SessionKeyID has 1 to ${SESSION_KEY_ID_MAX} bytes.`)
}
