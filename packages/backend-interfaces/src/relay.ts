import type { NsId } from '@mortise/lorawan'
import { AnswerError } from './answer-error.ts'
import { answerHeader } from './answers.ts'
import type { Dialect } from './dialects.ts'
import { caseless, isJsonObject, type Members, readJsonObject } from './json-object.ts'
import { WRAPPED_KEY_SIZE } from './key-envelope.ts'
import { readAnswer, readResult } from './parse-answer.ts'
import type { RequestHeader } from './parse-header.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import { type ResultCode, resultCodeFor } from './result-codes.ts'
import { isAbsent, readHexOf, readUnsigned } from './wire-values.ts'

/** An answer of another join server, as it goes on to whoever asked. */
export interface RelayedAnswer {
  /** JSON text. */
  readonly body: string
  readonly resultCode: ResultCode
  /** A network session key stands in it that is not wrapped under a KEK. */
  readonly hasClearNetworkKeys: boolean
}

/** Without case: programs in Go, as network servers are, take a name in any. */
const NETWORK_KEYS: ReadonlySet<string> = new Set(['nwkskey', 'fnwksintkey', 'snwksintkey', 'nwksenckey'])

/** Members of a header that are not the same in both versions; 1.0 has the first alone. */
const OF_THE_VERSION: ReadonlySet<string> = new Set(['ProtocolVersion', 'SenderNSID', 'ReceiverNSID'])

/**
 * A request for a join server that speaks `protocolVersion`: as it came where that is its own version, and else with the
 * header members of the other one.
 * @param body what `header` was read from
 * @param nsId of the network server that asks, which 1.1 wants to know
 */
export function relayRequest(
  body: Uint8Array,
  header: RequestHeader,
  protocolVersion: ProtocolVersion,
  nsId: NsId | undefined,
): Uint8Array | string {
  if (header.protocolVersion === protocolVersion) return body
  const json = readJsonObject(body)
  if (json.kind !== 'object') throw new TypeError('A header was read from this body.')
  const ownNsId = protocolVersion === '1.1' ? nsId : undefined
  return JSON.stringify({
    ProtocolVersion: protocolVersion,
    ...(ownNsId !== undefined && { SenderNSID: ownNsId }),
    ...withoutVersion(json.members),
  })
}

/**
 * The answer to a request that was relayed: the very text of it where whoever asked can read that, and else with the
 * header members and the ResultCode that it reads. Nothing else is changed, and no key is opened.
 * @param header of the request as it was asked
 * @throws AnswerError not_json, unexpected_message, unknown_result_code or malformed
 */
export function relayAnswer(body: Uint8Array, header: RequestHeader, dialect: Dialect): RelayedAnswer {
  const members = readAnswer(body, header.messageType.replace(/Req$/, 'Ans'))
  if (readUnsigned(members['TransactionID'], 0xffffffff) !== header.transactionId) {
    throw new AnswerError('unexpected_message', 'The answer has the TransactionID of another request.')
  }
  const { resultCode } = readResult(members['Result'])
  const hasClearNetworkKeys = Object.entries(members).some(
    ([name, value]) => NETWORK_KEYS.has(caseless(name)) && !isAbsent(value) && !isWrappedKey(value),
  )
  return { body: relayedBody(body, members, header, dialect, resultCode), resultCode, hasClearNetworkKeys }
}

function relayedBody(
  body: Uint8Array,
  members: Members,
  header: RequestHeader,
  dialect: Dialect,
  resultCode: ResultCode,
): string {
  const result = members['Result'] as Members
  const legibleCode = resultCodeFor(resultCode, header.protocolVersion, dialect)
  const isInVersion = members['ProtocolVersion'] === header.protocolVersion
  if (isInVersion && result['ResultCode'] === legibleCode) return Buffer.from(body).toString()
  const answer = isInVersion ? members : inVersionOf(header, dialect, members)
  return JSON.stringify({ ...answer, Result: { ...result, ResultCode: legibleCode } })
}

function isWrappedKey(value: unknown): boolean {
  if (!isJsonObject(value)) return false
  const { KEKLabel, AESKey } = value
  return typeof KEKLabel === 'string' && KEKLabel !== '' && readHexOf(AESKey, WRAPPED_KEY_SIZE) !== undefined
}

function inVersionOf(header: RequestHeader, dialect: Dialect, members: Members): Members {
  const { ProtocolVersion, ReceiverNSID } = answerHeader(header, dialect)
  // Undefined for version 1.0, and then not written.
  return { ProtocolVersion, ReceiverNSID, ...withoutVersion(members) }
}

function withoutVersion(members: Members): Members {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !OF_THE_VERSION.has(name)))
}
