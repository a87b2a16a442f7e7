import { demand } from '../failure.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { inspectJson } from '../json/inspect.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import { cased, type Dialect } from './dialects.ts'
import type { ReadHeader } from './read-request.ts'

/** An answer of the Backend Interfaces, as parsed. */
export interface BiAnswer {
  readonly code: string
  readonly members: Readonly<Record<string, unknown>>
}

const CODES_10 = [
  ...['Success', 'MICFailed', 'JoinReqFailed', 'NoRoamingAgreement', 'DevRoamingDisallowed', 'RoamingActDisallowed'],
  ...['ActivationDisallowed', 'UnknownDevEUI', 'UnknownDevAddr', 'UnknownSender', 'UnkownReceiver', 'Deferred'],
  ...['XmitFailed', 'InvalidFPort', 'InvalidProtocolVersion', 'StaleDeviceProfile', 'MalformedRequest'],
  ...['FrameSizeError', 'Other'],
]
/** TS002 1.0 table 24, and what 1.1 makes of it. */
const CODES: Readonly<Record<string, ReadonlySet<string>>> = {
  '1.0': new Set(CODES_10),
  '1.1': new Set([
    ...CODES_10.filter((code) => code !== 'MalformedRequest'),
    'MalformedMessage',
    'NoAction',
    'FrameReplayed',
  ]),
}
const STATUSES = new Set([200, 400, 404, 405])
/** What only the inside of the server would say. */
const INSIDE =
  /\bat .+:\d+:\d+|node:|[\\/][\w.-]+\.[cm]?[jt]s\b|[\\/](?:tmp|home|usr|var|work)[\\/]|[A-Za-z]*Error\b|<\/?\w+/
const MAX_DESCRIPTION = 200
export const HEADER_MEMBERS: ReadonlySet<string> = new Set([
  ...['ProtocolVersion', 'MessageType', 'SenderID', 'ReceiverID', 'TransactionID', 'Result'],
  ...['ReceiverNSID', 'SenderToken', 'ReceiverToken'],
])

/**
 * Checks what every answer has to be, whatever was asked: no 5xx, no HTML, JSON with a code of its dialect, nothing of the
 * inside, no secret. Gives the answer, or undefined where there is no body. `expectedStatus` may be one that is never given
 * otherwise.
 */
export function checkAnswer(scanner: SecretScanner, answer: HttpAnswer, expectedStatus = 200): BiAnswer | undefined {
  const { status, headers, body } = answer
  const secrets = scanner.find(body)
  demand(secrets.length === 0, 'secret_in_answer', secrets.join(', '))
  demand(STATUSES.has(status) || status === expectedStatus, 'http_status', String(status))
  if (body.length === 0) return undefined
  demand(headers.get('content-type') === 'application/json', 'not_json', headers.get('content-type') ?? 'no type')
  const text = body.toString()
  const members = parse(text)
  demand(members !== undefined && !inspectJson(text).repeats, 'not_json', text.slice(0, 80))
  const { ResultCode: code, Description: description = '' } = (members['Result'] ?? {}) as Record<string, unknown>
  const version = String(members['ProtocolVersion'])
  demand(
    typeof code === 'string' && CODES[version]?.has(code) === true,
    'unknown_code',
    `${String(code)} in ${version}`,
  )
  demand(
    typeof description === 'string' && description.length <= MAX_DESCRIPTION,
    'description',
    'no text, or too long',
  )
  demand(!INSIDE.test(description), 'inside_shown', description)
  const stranger = Object.keys(members).find((name) => code !== 'Success' && !HEADER_MEMBERS.has(name))
  demand(stranger === undefined, 'member', `${String(stranger)} in a refusal`)
  return { code, members }
}

/** The header that has to come back for one that was read. */
export function checkHeader(answer: BiAnswer, header: ReadHeader, dialect: Dialect): void {
  const { version, messageType, senderId, receiverId, transactionId, senderNsId, senderToken, receiverToken } = header
  const expected = {
    ProtocolVersion: version,
    MessageType: messageType?.endsWith('Req') === true ? messageType.replace(/Req$/, 'Ans') : undefined,
    SenderID: receiverId,
    ReceiverID: senderId,
    TransactionID: transactionId,
    ReceiverNSID: senderNsId && cased(dialect, senderNsId),
    SenderToken: receiverToken && cased(dialect, receiverToken),
    ReceiverToken: senderToken && cased(dialect, senderToken),
  }
  for (const [name, value] of Object.entries(expected))
    demand(
      Object.is(answer.members[name], value === 0 ? 0 : value),
      'header',
      `${name} is ${JSON.stringify(answer.members[name])}, not ${JSON.stringify(value)}`,
    )
}

/** How a code is spelled in a dialect. */
export function spelled(code: string, version: '1.0' | '1.1'): string {
  if (code === 'Malformed') return version === '1.0' ? 'MalformedRequest' : 'MalformedMessage'
  return code === 'FrameReplayed' && version === '1.0' ? 'JoinReqFailed' : code
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
