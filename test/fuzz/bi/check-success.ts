import { keyUnwrap } from '../../../packages/hsm/test/soft/crypto-oracle.ts'
import { demand } from '../failure.ts'
import { devNonceOf, openJoinAccept, sessionKeys } from '../lorawan.ts'
import { type BiAnswer, HEADER_MEMBERS } from './check-answer.ts'
import type { AcceptedJoin } from './device-model.ts'
import type { ExpectedJoin, ExpectedRelease } from './expect.ts'
import { CALLERS, type Kek, KEKS } from './world.ts'

const NETWORK_KEYS_10 = ['NwkSKey']
const NETWORK_KEYS_11 = ['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey']

/**
 * A JoinAns with Success: the join-accept is what the device expects, the network keys are the session's, the AppSKey is
 * under the KEK of the device's first application server and nowhere in clear.
 */
export function checkJoinAns(answer: BiAnswer, expected: Omit<ExpectedJoin, 'repeated'>): AcceptedJoin {
  const { model, caller, frame, parameters, identity } = expected
  const { device } = model
  const { members } = answer
  const accept = bytesOf(members['PHYPayload'])
  const joinNonce = openJoinAccept(device, frame, parameters, accept)
  demand(joinNonce !== undefined, 'join_accept', accept.toString('hex'))
  const keys = sessionKeys(device, frame, parameters, joinNonce)
  const names = keys.network.length === 1 ? NETWORK_KEYS_10 : NETWORK_KEYS_11
  const nsKek = caller === 'wrapped' ? kekOf(CALLERS.wrapped.id) : undefined
  for (const [index, name] of names.entries())
    demand(openKey(members[name], nsKek)?.equals(keys.network[index] ?? accept) === true, 'network_key', name)
  const [as] = device.applicationServers
  if (as !== undefined)
    demand(openKey(members['AppSKey'], kekOf(as))?.equals(keys.app) === true, 'app_s_key', 'AppSKey')
  const sessionKeyId = String(members['SessionKeyID'])
  demand(/^[0-9a-f]{16}$/.test(sessionKeyId) && members['Lifetime'] === 0, 'join_ans', 'SessionKeyID or Lifetime')
  const own = ['PHYPayload', ...names, ...(as === undefined ? [] : ['AppSKey']), 'SessionKeyID', 'Lifetime']
  checkMembers(answer, own)
  checkClear(answer, keys.app)
  const lasting = JSON.stringify(own.map((name) => members[name]))
  return { identity, devNonce: devNonceOf(frame), joinNonce, answer: lasting, sessionKeyId, appSKey: keys.app }
}

/** An AppSKeyAns with Success: the AppSKey of that session, under the caller's own KEK. */
export function checkAppSKeyAns(answer: BiAnswer, { model, caller, session }: ExpectedRelease): void {
  const { members } = answer
  const key = openKey(members['AppSKey'], kekOf(CALLERS[caller].id))
  demand(key?.equals(session.appSKey) === true, 'app_s_key', 'AppSKey')
  const sameSession = members['DevEUI'] === model.device.devEui && members['SessionKeyID'] === session.sessionKeyId
  demand(sameSession, 'app_s_key_ans', 'another session')
  checkMembers(answer, ['DevEUI', 'SessionKeyID', 'AppSKey'])
  checkClear(answer, session.appSKey)
}

function kekOf(recipient: string): Kek | undefined {
  return KEKS.find((kek) => kek.recipient === recipient)
}

/** The key of an envelope: in clear where there is no KEK, and else under that one. */
function openKey(value: unknown, kek: Kek | undefined): Buffer | undefined {
  const { KEKLabel: label, AESKey: key, ...more } = (value ?? {}) as Record<string, unknown>
  if (Object.keys(more).length > 0 || label !== kek?.label) return undefined
  const bytes = bytesOf(key)
  if (kek === undefined) return bytes.length === 16 ? bytes : undefined
  try {
    return bytes.length === 24 ? keyUnwrap(kek.value, bytes) : undefined
  } catch {
    return undefined
  }
}

function bytesOf(value: unknown): Buffer {
  return typeof value === 'string' && /^([0-9a-f]{2})*$/.test(value) ? Buffer.from(value, 'hex') : Buffer.alloc(0)
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
