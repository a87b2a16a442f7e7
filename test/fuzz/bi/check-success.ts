import { keyUnwrap } from '../../../packages/hsm/test/soft/crypto-oracle.ts'
import { readAirRequest } from '../air-requests.ts'
import { demand } from '../failure.ts'
import { openJoinAccept, sessionKeyIdOf, sessionKeys } from '../lorawan.ts'
import { type BiAnswer, HEADER_MEMBERS } from './check-answer.ts'
import type { AcceptedJoin } from './device-model.ts'
import { cased, type Dialect } from './dialects.ts'
import type { ExpectedHome, ExpectedJoin, ExpectedRelease } from './expect.ts'
import { dialectOf, type Kek, kekFor, peerOf } from './peers.ts'
import type { EnrolledDevice } from './devices.ts'

const NETWORK_KEYS_10 = ['NwkSKey']
const NETWORK_KEYS_11 = ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey']

/** How the AppSKey leaves. */
interface Delivery {
  readonly to: 'nobody' | 'application server' | 'network'
  /** In clear without one. */
  readonly kek: Kek | undefined
}

/**
 * A JoinAns or RejoinAns with Success: the join-accept is what the device expects, the network keys are the session's, the
 * AppSKey is under the KEK of the device's first application server and nowhere in clear, unless the owner has named the
 * network itself.
 */
export function checkJoinAns(answer: BiAnswer, expected: Omit<ExpectedJoin, 'repeated'>): AcceptedJoin {
  const { model, caller, frame, parameters, identity } = expected
  const { device } = model
  const { members } = answer
  const dialect = dialectOf(caller)
  const accept = bytesOf(members['PHYPayload'], dialect)
  const request = readAirRequest(frame)
  const joinNonce = openJoinAccept(device, frame, parameters, accept)
  demand(request !== undefined && joinNonce !== undefined, 'join_accept', accept.toString('hex'))
  const keys = sessionKeys(device, frame, parameters, joinNonce)
  const names = keys.network.length === 1 ? NETWORK_KEYS_10 : NETWORK_KEYS_11
  const nsKek = kekFor(peerOf(caller)?.id)
  for (const [index, name] of names.entries())
    demand(openKey(members[name], nsKek, dialect)?.equals(keys.network[index] ?? accept) === true, 'network_key', name)
  const { to, kek } = deliveryOf(device, dialect, nsKek)
  if (to !== 'nobody')
    demand(openKey(members['AppSKey'], kek, dialect)?.equals(keys.app) === true, 'app_s_key', 'AppSKey')
  const sessionKeyId = sessionKeyIdOf(device.deviceId, joinNonce)
  const told = to !== 'network' || dialect.sessionKeyIdBesideOwnAppSKey
  if (told) demand(members['SessionKeyID'] === cased(dialect, sessionKeyId), 'session_key_id', sessionKeyId)
  demand(members['Lifetime'] === 0, 'join_ans', 'Lifetime')
  const optional = [...(to === 'nobody' ? [] : ['AppSKey']), ...(told ? ['SessionKeyID'] : [])]
  const own = ['PHYPayload', ...names, ...optional, 'Lifetime']
  checkMembers(answer, own)
  if (to !== 'network' || kek !== undefined) checkClear(answer, keys.app)
  const lasting = JSON.stringify(own.map((name) => members[name]))
  const { netId } = parameters
  return { identity, request, netId, joinNonce, answer: lasting, sessionKeyId, appSKey: keys.app }
}

/** An AppSKeyAns with Success: the AppSKey of that session, under the caller's own KEK. */
export function checkAppSKeyAns(answer: BiAnswer, { model, caller, session }: ExpectedRelease): void {
  const { members } = answer
  const key = openKey(members['AppSKey'], kekFor(peerOf(caller)?.id), dialectOf(caller))
  demand(key?.equals(session.appSKey) === true, 'app_s_key', 'AppSKey')
  const sameSession = members['DevEUI'] === model.device.devEui && members['SessionKeyID'] === session.sessionKeyId
  demand(sameSession, 'app_s_key_ans', 'another session')
  checkMembers(answer, ['DevEUI', 'SessionKeyID', 'AppSKey'])
  checkClear(answer, session.appSKey)
}

/** A HomeNSAns with Success: the first network of the device, and its NSID in version 1.1. */
export function checkHomeNsAns(answer: BiAnswer, { netId, nsId }: ExpectedHome, dialect: Dialect): void {
  const { members } = answer
  demand(members['HNetID'] === cased(dialect, netId), 'home', `HNetID is ${JSON.stringify(members['HNetID'])}`)
  const told = members['HNSID']
  demand(told === (nsId && cased(dialect, nsId)), 'home', `HNSID is ${JSON.stringify(told)}`)
  checkMembers(answer, nsId === undefined ? ['HNetID'] : ['HNetID', 'HNSID'])
}

function deliveryOf(device: EnrolledDevice, dialect: Dialect, nsKek: Kek | undefined): Delivery {
  const [as] = device.applicationServers
  if (device.networkIsApplicationServer)
    return { to: 'network', kek: dialect.ownAppSKey === 'clear' ? undefined : nsKek }
  return as === undefined ? { to: 'nobody', kek: undefined } : { to: 'application server', kek: kekFor(as) }
}

/** The key of an envelope: in clear where there is no KEK, and else under that one. */
function openKey(value: unknown, kek: Kek | undefined, dialect: Dialect): Buffer | undefined {
  const { KEKLabel: label, AESKey: key, ...more } = (value ?? {}) as Record<string, unknown>
  if (Object.keys(more).length > 0 || label !== kek?.label) return undefined
  const bytes = bytesOf(key, dialect)
  if (kek === undefined) return bytes.length === 16 ? bytes : undefined
  try {
    return bytes.length === 24 ? keyUnwrap(kek.value, bytes) : undefined
  } catch {
    return undefined
  }
}

/** Hex in the case that is owed; nothing for anything else. */
function bytesOf(value: unknown, dialect: Dialect): Buffer {
  const isHex = typeof value === 'string' && /^([0-9a-f]{2})*$/i.test(value) && value === cased(dialect, value)
  return isHex ? Buffer.from(value, 'hex') : Buffer.alloc(0)
}

function checkMembers({ members }: BiAnswer, own: readonly string[]): void {
  const stranger = Object.keys(members).find((name) => !HEADER_MEMBERS.has(name) && !own.includes(name))
  demand(stranger === undefined, 'member', String(stranger))
  demand(JSON.stringify(members['Result']) === '{"ResultCode":"Success"}', 'result', JSON.stringify(members['Result']))
}

function checkClear({ members }: BiAnswer, appSKey: Buffer): void {
  const text = JSON.stringify(members).toLowerCase()
  demand(!text.includes(appSKey.toString('hex')), 'app_s_key_in_clear', 'AppSKey')
}
