import { type AnsweredKeys, WrongAnswerError } from './load-devices.ts'

/** A join that was refused, with the ResultCode. */
export class RefusedError extends WrongAnswerError {
  readonly resultCode: string

  constructor(resultCode: string) {
    super(`refused: ${resultCode}`)
    this.resultCode = resultCode
  }
}

const NETWORK_KEYS = ['NwkSKey', 'FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey'] as const

interface JoinAnsJson {
  readonly TransactionID?: unknown
  readonly MessageType?: unknown
  readonly PHYPayload?: unknown
  readonly SessionKeyID?: unknown
  readonly Result?: { readonly ResultCode?: unknown }
  readonly AppSKey?: EnvelopeJson
  readonly NwkSKey?: EnvelopeJson
  readonly FNwkSIntKey?: EnvelopeJson
  readonly SNwkSIntKey?: EnvelopeJson
  readonly NwkSEncKey?: EnvelopeJson
}

interface EnvelopeJson {
  readonly KEKLabel?: unknown
  readonly AESKey?: unknown
}

/**
 * The keys of a JoinAns: network session keys in clear, AppSKey under the KEK of this label.
 * @throws {RefusedError} @throws {WrongAnswerError} a member that is missing or not what was expected
 */
export function readJoinAns(text: string, expected: { transactionId: number; kekLabel: string }): AnsweredKeys {
  const answer = parse(text)
  const resultCode = answer.Result?.ResultCode
  if (typeof resultCode !== 'string') throw new WrongAnswerError('an answer without Result')
  if (resultCode !== 'Success') throw new RefusedError(resultCode)
  if (answer.TransactionID !== expected.transactionId || answer.MessageType !== 'JoinAns')
    throw new WrongAnswerError('the answer to another request')
  const { PHYPayload: phyPayload, SessionKeyID: sessionKeyId, AppSKey: appSKey } = answer
  if (typeof phyPayload !== 'string' || typeof sessionKeyId !== 'string' || typeof appSKey?.AESKey !== 'string')
    throw new WrongAnswerError('PHYPayload, SessionKeyID or AppSKey is missing')
  if (appSKey.KEKLabel !== expected.kekLabel) throw new WrongAnswerError('AppSKey under another KEK')
  const networkKeys: Record<string, string | undefined> = {}
  for (const name of NETWORK_KEYS) networkKeys[name] = clearKey(answer[name])
  return { phyPayload, networkKeys, appSKey: appSKey.AESKey }
}

function parse(text: string): JoinAnsJson {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below, without the text: it may hold keys.
  }
  throw new WrongAnswerError('the answer is not a JSON object')
}

function clearKey(envelope: EnvelopeJson | undefined): string | undefined {
  if (envelope === undefined) return undefined
  if (typeof envelope.AESKey !== 'string' || envelope.KEKLabel !== undefined)
    throw new WrongAnswerError('a network session key is not in clear')
  return envelope.AESKey
}
