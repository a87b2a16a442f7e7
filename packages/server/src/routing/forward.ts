import {
  AnswerError,
  type AnswerErrorCode,
  type Dialect,
  encodeFailure,
  type HttpAnswer,
  relayAnswer,
  type RelayedAnswer,
  relayRequest,
  type RequestHeader,
  type RequestType,
  type ResultCode,
} from '@mortise/backend-interfaces'
import type { JoinEui } from '@mortise/lorawan'
import { type AuthenticatedPeer, NetworkServer } from '../identity/index.ts'
import { FORWARDING_LIMITS, type ForwardingLimits } from './limits.ts'
import type { Partner } from './partner.ts'
import { PartnerPlaces } from './partner-places.ts'
import type { RouteTable } from './route-table.ts'

/**
 * HTTP header of a request that a join server has forwarded, with the id of its installation. Such a request goes no
 * further: two join servers that have routes to each other would send it to and fro.
 */
export const FORWARDED_HEADER = 'mortise-forwarded'

/**
 * - `answered`: the partner's answer was passed on, whatever it says.
 * - `busy`: too many wait for partners; it was not asked.
 * - `loop`: the request had been forwarded once already, and was answered here.
 * - `clear_keys`: the answer had network session keys in clear, for a peer that takes them under a KEK only.
 * - the others: the partner gave no usable answer.
 */
export const FORWARD_OUTCOMES = [
  ...(['answered', 'busy', 'loop', 'clear_keys'] as const),
  ...(['timeout', 'connection', 'http_status', 'unusable'] as const),
] as const

export type ForwardOutcome = (typeof FORWARD_OUTCOMES)[number]

/** A good request for a device that is not known here. */
export interface ForwardRequest {
  readonly peer: AuthenticatedPeer
  readonly dialect: Dialect
  readonly header: RequestHeader
  /** Under which the device is not known. */
  readonly joinEui: JoinEui
  /** The message as it came. */
  readonly body: Uint8Array
  /** It came with {@link FORWARDED_HEADER}. */
  readonly isForwarded: boolean
}

/** Undefined at once where no partner is to be asked; else the answer as JSON text, of the partner or about it. */
export type Forward = (request: ForwardRequest) => Promise<string> | undefined

export interface ForwardOptions {
  readonly routes: Pick<RouteTable, 'find'>
  /** Id of this installation, 32 hex digits; says nothing else about it. */
  readonly installation: string
  readonly limits?: ForwardingLimits
  readonly metrics: {
    answered(messageType: RequestType, result: ResultCode): void
    forwarded(outcome: ForwardOutcome): void
  }
}

const OUTCOME: Record<AnswerErrorCode, 'connection' | 'timeout' | 'http_status' | 'unusable'> = {
  connection: 'connection',
  timeout: 'timeout',
  http_status: 'http_status',
  not_json: 'unusable',
  unexpected_message: 'unusable',
  unknown_result_code: 'unusable',
  malformed: 'unusable',
}

const NO_ANSWER = 'the join server of this JoinEUI gave no answer'
const NO_USABLE_ANSWER = 'the join server of this JoinEUI gave no usable answer'

/** What the peer is told. */
const DESCRIPTION: Record<Exclude<ForwardOutcome, 'answered' | 'loop'>, string> = {
  busy: 'busy, try again',
  clear_keys: 'the join server of this JoinEUI gave network session keys without a KEK, and this peer takes none so',
  timeout: NO_ANSWER,
  connection: NO_ANSWER,
  http_status: NO_USABLE_ANSWER,
  unusable: NO_USABLE_ANSWER,
}

/** Forwards requests for JoinEUIs that are not ours to the join servers whose they are. */
export function createForward(options: ForwardOptions): Forward {
  const { routes, metrics, limits = FORWARDING_LIMITS } = options
  const places = new PartnerPlaces(limits)
  return function forward(request) {
    const partner = routes.find(request.joinEui)
    if (partner === undefined) return undefined
    if (request.isForwarded) {
      metrics.forwarded('loop')
      return undefined
    }
    const peerId = request.peer.peerId.toString('hex')
    if (!places.enter(partner.host, peerId)) return Promise.resolve(fail(options, request, 'busy'))
    return ask(options, partner, request).finally(() => {
      places.leave(partner.host, peerId)
    })
  }
}

async function ask(options: ForwardOptions, partner: Partner, request: ForwardRequest): Promise<string> {
  const { header, peer } = request
  const nsId = peer instanceof NetworkServer ? peer.nsId : undefined
  const headers = { 'content-type': 'application/json', [FORWARDED_HEADER]: options.installation }
  try {
    const sent = relayRequest(request.body, header, partner.protocolVersion, nsId)
    const { body, resultCode, hasClearNetworkKeys } = readAnswer(await partner.ask(sent, headers), request)
    if (hasClearNetworkKeys && peer instanceof NetworkServer && peer.kekOnly) {
      partner.failed(new Error(`${peer.id} takes network session keys under a KEK only, and gets them in clear`))
      return fail(options, request, 'clear_keys')
    }
    options.metrics.forwarded('answered')
    options.metrics.answered(header.messageType, resultCode)
    return body
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    partner.failed(error)
    return fail(options, request, OUTCOME[error.code])
  }
}

/** A refusal is an answer with HTTP 4xx too: ChirpStack's join servers up to version 3 send it so. @throws AnswerError */
function readAnswer({ status, body }: HttpAnswer, { header, dialect }: ForwardRequest): RelayedAnswer {
  if (status >= 200 && status <= 299) return relayAnswer(body, header, dialect)
  const refusal = status >= 400 && status <= 499 ? readRefusal(body, header, dialect) : undefined
  if (refusal !== undefined) return refusal
  throw new AnswerError('http_status', `The join server answered HTTP ${status}.`)
}

function readRefusal(body: Uint8Array, header: RequestHeader, dialect: Dialect): RelayedAnswer | undefined {
  try {
    const answer = relayAnswer(body, header, dialect)
    return answer.resultCode === 'Success' ? undefined : answer
  } catch (error) {
    if (error instanceof AnswerError) return undefined
    throw error
  }
}

function fail(
  { metrics }: ForwardOptions,
  { header, dialect }: ForwardRequest,
  outcome: keyof typeof DESCRIPTION,
): string {
  metrics.forwarded(outcome)
  metrics.answered(header.messageType, 'Other')
  return encodeFailure(header, 'Other', DESCRIPTION[outcome], dialect)
}
