import {
  AnswerError,
  type AnswerErrorCode,
  type Dialect,
  encodeFailure,
  relayAnswer,
  relayRequest,
  type RequestHeader,
  type RequestType,
  type ResultCode,
} from '@mortise/backend-interfaces'
import type { JoinEui } from '@mortise/lorawan'
import { FairShare } from '../http/fair-share.ts'
import { type AuthenticatedPeer, NetworkServer } from '../identity/index.ts'
import { FORWARDING_LIMITS, type ForwardingLimits } from './limits.ts'
import type { Partner } from './partner.ts'
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
 * - the others: the partner gave no usable answer.
 */
export type ForwardOutcome = 'answered' | 'busy' | 'loop' | 'timeout' | 'connection' | 'http_status' | 'unusable'

export const FORWARD_OUTCOMES: readonly ForwardOutcome[] = [
  ...(['answered', 'busy', 'loop'] as const),
  ...(['timeout', 'connection', 'http_status', 'unusable'] as const),
]

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

const OUTCOME: Record<AnswerErrorCode, ForwardOutcome> = {
  connection: 'connection',
  timeout: 'timeout',
  http_status: 'http_status',
  not_json: 'unusable',
  unexpected_message: 'unusable',
  unknown_result_code: 'unusable',
  malformed: 'unusable',
}

const BUSY = 'busy, try again'
const NO_ANSWER = 'the join server of this JoinEUI gave no answer'

/** Forwards requests for JoinEUIs that are not ours to the join servers whose they are. */
export function createForward(options: ForwardOptions): Forward {
  const { routes, metrics, limits = FORWARDING_LIMITS } = options
  const shares = new FairShare(limits.places, limits.mostPlaces)
  return function forward(request) {
    const partner = routes.find(request.joinEui)
    if (partner === undefined) return undefined
    if (request.isForwarded) {
      metrics.forwarded('loop')
      return undefined
    }
    // Of one partner and one peer: neither a partner that is slow nor a peer that floods takes the places of others.
    const holder = `${partner.route.routeId.toString('hex')} ${request.peer.id}`
    if (shares.enter(holder) !== undefined) return Promise.resolve(fail(options, request, 'busy', BUSY))
    return ask(options, partner, request).finally(() => {
      shares.leave(holder)
    })
  }
}

async function ask(options: ForwardOptions, partner: Partner, request: ForwardRequest): Promise<string> {
  const { header, dialect, peer } = request
  const nsId = peer instanceof NetworkServer ? peer.nsId : undefined
  const headers = { 'content-type': 'application/json', [FORWARDED_HEADER]: options.installation }
  try {
    const sent = relayRequest(request.body, header, partner.protocolVersion, nsId)
    const { body, resultCode } = relayAnswer(await partner.ask(sent, headers), header, dialect)
    options.metrics.forwarded('answered')
    options.metrics.answered(header.messageType, resultCode)
    return body
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    partner.failed(error)
    return fail(options, request, OUTCOME[error.code], NO_ANSWER)
  }
}

function fail(
  { metrics }: ForwardOptions,
  { header, dialect }: ForwardRequest,
  outcome: ForwardOutcome,
  description: string,
): string {
  metrics.forwarded(outcome)
  metrics.answered(header.messageType, 'Other')
  return encodeFailure(header, 'Other', description, dialect)
}
