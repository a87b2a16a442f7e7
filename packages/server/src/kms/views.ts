import { decodeDeviceRecord, decodeKekRecord } from '@mortise/hsm'
import { devNonceRule } from '@mortise/lorawan'
import { forecastNonces, type NonceFacts } from '../join/index.ts'
import type { ApiKey, Device, Kek, KeySet, LastJoin, Session, StoredOrder } from '../storage/index.ts'
import type { ApiKeyView, DeviceView, KekView, NonceView, OrderView, SessionView } from './administration.ts'

const NONCES_DAMAGED =
  'What is stored of the nonces is damaged: every join is refused. Remove the device and add it with new root keys.'

/** Rows as an operator sees them: records are read for what they say about a key, and no part of a key is passed on. */

/** `newest` is the device's newest key set, `sessions` are its own, newest first. */
export function toDeviceView(device: Device, newest: KeySet, sessions: readonly Session[], nowMs: number): DeviceView {
  const record = decodeDeviceRecord(newest.record)
  return {
    deviceId: hex(device.deviceId),
    devEui: newest.devEui,
    joinEui: newest.joinEui,
    macVersion: record.macVersion,
    keyGeneration: newest.generation,
    recordVersion: record.recordVersion,
    applicationServers: [...record.applicationServers],
    networkIsApplicationServer: record.networkIsApplicationServer,
    networks: [...record.networks],
    keysDelivered: device.keysDelivered,
    createdAt: isoTime(device.createdAt),
    ...lastOf(newest),
    ...noncesOf(newest, {
      rule: devNonceRule(record.macVersion),
      state: newest.state,
      addedAt: device.createdAt,
      sessionTimes: sessions.map(({ createdAt }) => createdAt),
      nowMs,
    }),
    sessions: sessions.map(toSessionView),
  }
}

export function toKekView(kek: Kek): KekView {
  return {
    kekId: hex(kek.kekId),
    kind: kek.kind,
    recipient: kek.recipient,
    label: kek.label,
    version: kek.kekVersion,
    size: kek.size,
    recordVersion: decodeKekRecord(kek.record).recordVersion,
    createdAt: isoTime(kek.createdAt),
  }
}

export function toOrderView(order: StoredOrder): OrderView {
  return {
    orderId: order.orderId,
    signer: hex(order.signer),
    sequence: order.sequence,
    state: order.state,
    ...(order.code !== undefined && { code: order.code }),
    ...(order.detail !== undefined && { detail: order.detail }),
    submittedAt: isoTime(order.submittedAt),
    ...(order.settledAt !== undefined && { settledAt: isoTime(order.settledAt) }),
  }
}

export function toApiKeyView({ apiKeyId, name, createdAt, revokedAt }: ApiKey): ApiKeyView {
  return {
    apiKeyId,
    name,
    createdAt: isoTime(createdAt),
    ...(revokedAt !== undefined && { revokedAt: isoTime(revokedAt) }),
  }
}

function lastOf({ state }: KeySet): Pick<DeviceView, 'lastJoinNonce' | 'lastDevNonce' | 'lastJoin'> {
  if (state === undefined) return { lastJoinNonce: 0 }
  return {
    lastJoinNonce: state.lastJoinNonce,
    lastDevNonce: state.last.devNonce,
    lastJoin: toLastJoinView(state.last),
  }
}

function noncesOf({ noncesDamaged }: KeySet, facts: NonceFacts): Pick<DeviceView, 'devNoncesUsed' | 'nonces'> {
  const { devNoncesUsed, devNoncesPerJoin, refusalProbability, triesPerJoin, joinsPerYear, exhaustedAt, ...forecast } =
    forecastNonces(facts)
  const nonces: NonceView = {
    ...forecast,
    warnings: noncesDamaged ? [NONCES_DAMAGED] : [...forecast.warnings],
    ...(devNoncesPerJoin !== undefined && { devNoncesPerJoin }),
    ...(refusalProbability !== undefined && { refusalProbability }),
    ...(triesPerJoin !== undefined && { triesPerJoin }),
    ...(joinsPerYear !== undefined && { joinsPerYear }),
    ...(exhaustedAt !== undefined && { exhaustedAt: isoTime(exhaustedAt) }),
  }
  return { devNoncesUsed, nonces }
}

function toLastJoinView({ netId, devAddr, sessionKeyId, joinedAt }: LastJoin): SessionView {
  return { netId, devAddr, sessionKeyId: hex(sessionKeyId), at: isoTime(joinedAt) }
}

function toSessionView({ netId, devAddr, sessionKeyId, createdAt }: Session): SessionView {
  return { netId, devAddr, sessionKeyId: hex(sessionKeyId), at: isoTime(createdAt) }
}

function hex(id: Buffer): string {
  return id.toString('hex')
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
