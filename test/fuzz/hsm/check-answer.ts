import { HSM_ERROR_CODES, type HsmErrorCode } from '@mortise/hsm'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { keyUnwrap } from '../../../packages/hsm/test/soft/crypto-oracle.ts'
import { demand } from '../failure.ts'
import { openJoinAccept, sessionKeyIdOf, sessionKeys } from '../lorawan.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import type { AcceptedJoin, AcceptedRelease, Expected } from './expect.ts'
import type { Frame } from './frames.ts'
import type { KnownKek, KnownSession } from './known-records.ts'
import { readJoinAnswered, readRefusal, readReleased } from './read-answer.ts'

const RECORD_CODES: readonly HsmErrorCode[] = [
  ...(['record_malformed', 'record_format_unsupported', 'record_type_mismatch'] as const),
  ...(['storage_key_unknown', 'record_tag_mismatch', 'record_superseded'] as const),
]
const VERIFY_CODES: readonly HsmErrorCode[] = [
  ...RECORD_CODES,
  'join_request_malformed',
  'eui_mismatch',
  'mic_mismatch',
  'rejoin_unsupported',
]
const KEK_CODES: readonly HsmErrorCode[] = ['kek_kind_mismatch', 'recipient_not_allowed', 'owner_mismatch']
const ORDER_CODES: readonly HsmErrorCode[] = [
  ...(['order_malformed', 'order_signature_invalid', 'order_for_other_hsm', 'order_replayed'] as const),
  ...(['order_version_mismatch', 'order_record_missing', 'order_record_mismatch', 'order_sequence_gap'] as const),
  ...(['label_in_use', 'envelope_damaged'] as const),
]

/** With what a frame of each type may be refused where it can be read. */
export const CODES = {
  join: new Set<string>([
    ...VERIFY_CODES,
    ...KEK_CODES,
    'join_parameters_invalid',
    'network_not_allowed',
    'kek_recipient_mismatch',
  ]),
  verify: new Set<string>(VERIFY_CODES),
  release: new Set<string>([...RECORD_CODES, ...KEK_CODES, 'session_of_other_device']),
  order: new Set<string>([...RECORD_CODES, ...ORDER_CODES]),
  malformed: new Set<string>(['frame_malformed']),
} as const

const ANSWER_TYPES: ReadonlySet<number> = new Set([
  ...[FRAME.welcome, FRAME.joinAnswered, FRAME.joinRequestVerified, FRAME.appSKeyReleased, FRAME.orderApplied],
  ...[FRAME.receipts, FRAME.refused, FRAME.unsealed, FRAME.statusReported],
])
const INSIDE = /\bat .+:\d+|node:|[\\/][\w.-]+\.[cm]?[jt]s\b|unexpected/
const MAX_DETAIL = 200

/**
 * Checks what every frame from the trust boundary has to be: of a type that is an answer, without a key, and a refusal
 * with a code that is known. Gives the code, or `accepted`.
 */
export function checkFrame(scanner: SecretScanner, frame: Frame): string {
  const secrets = scanner.find(frame.payload)
  demand(secrets.length === 0, 'secret_in_answer', secrets.join(', '))
  demand(ANSWER_TYPES.has(frame.type), 'frame_type', String(frame.type))
  if (frame.type !== FRAME.refused) return 'accepted'
  const refusal = readRefusal(frame.payload)
  demand(refusal !== undefined, 'refusal', frame.payload.toString('hex'))
  const code = HSM_ERROR_CODES[refusal.number]
  demand(code !== undefined, 'unknown_code', String(refusal.number))
  demand(refusal.detail.length <= MAX_DETAIL && !INSIDE.test(refusal.detail), 'inside_shown', refusal.detail)
  demand(code !== 'token_failed', 'token_failed', refusal.detail)
  return code
}

/** Holds the code against what was expected. Gives what was accepted, undefined for what was rightly refused. */
export function settle<Accepted>(
  expected: Expected<Accepted>,
  given: string,
  codes: ReadonlySet<string>,
): Accepted | undefined {
  if (expected !== 'malformed' && expected !== 'refused') {
    demand(given === 'accepted', 'false_refusal', given)
    return expected
  }
  const refusal = expected === 'malformed' ? 'unreadable' : 'refused'
  demand(given !== 'accepted', 'false_success', `what is to be ${refusal}`)
  demand(
    (expected === 'malformed' ? CODES.malformed : codes).has(given),
    'code',
    `${given} for what is to be ${refusal}`,
  )
  return undefined
}

/** A join or a rejoin: the right join-accept, the right keys for the right recipients, no AppSKey but where the owner has said so. */
export function checkJoin(frame: Frame, expected: AcceptedJoin): { session: KnownSession; receipt: Buffer } {
  const { device, parameters, joinNonce, nsKek, appSKey } = expected
  demand(frame.type === FRAME.joinAnswered, 'frame_type', String(frame.type))
  const answer = readJoinAnswered(frame.payload)
  demand(answer !== undefined, 'join_answer', frame.payload.toString('hex'))
  const opened = openJoinAccept(device.device, expected.frame, parameters, answer.accept)
  demand(opened === joinNonce, 'join_accept', answer.accept.toString('hex'))
  const keys = sessionKeys(device.device, expected.frame, parameters, joinNonce)
  demand(answer.networkKeys.length === keys.network.length, 'network_keys', String(answer.networkKeys.length))
  for (const [index, key] of answer.networkKeys.entries())
    demand(isKeyFor(nsKek, key, keys.network[index]), 'network_key', String(index))
  if (appSKey === 'none') demand(answer.appSKey === undefined, 'app_s_key', 'for nobody')
  else demand(isKeyFor(appSKey === 'clear' ? undefined : appSKey, answer.appSKey, keys.app), 'app_s_key', 'AppSKey')
  demand(appSKey === 'clear' || !frame.payload.includes(keys.app), 'app_s_key_in_clear', 'AppSKey')
  const { id: deviceId, owner } = device
  demand(answer.sessionKeyId.toString('hex') === sessionKeyIdOf(deviceId, joinNonce), 'session_key_id', deviceId)
  const session: KnownSession = { kind: 'session', bytes: answer.sessionRecord, deviceId, owner, appSKey: keys.app }
  return { session, receipt: answer.receipt }
}

/** A release: the AppSKey of that session, under that KEK. */
export function checkRelease(frame: Frame, { session, asKek }: AcceptedRelease): { receipt: Buffer } {
  demand(frame.type === FRAME.appSKeyReleased, 'frame_type', String(frame.type))
  const answer = readReleased(frame.payload)
  demand(answer !== undefined, 'release_answer', frame.payload.toString('hex'))
  demand(isKeyFor(asKek, answer.appSKey, session.appSKey), 'app_s_key', 'AppSKey')
  demand(!frame.payload.includes(session.appSKey), 'app_s_key_in_clear', 'AppSKey')
  return answer
}

/** In clear where there is no KEK, and else under that one. */
function isKeyFor(kek: KnownKek | undefined, given: Buffer | undefined, key: Buffer | undefined): boolean {
  if (given === undefined || key === undefined) return false
  if (kek === undefined) return given.equals(key)
  try {
    return given.length === 24 && keyUnwrap(kek.value, given).equals(key)
  } catch {
    return false
  }
}
