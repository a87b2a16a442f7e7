import {
  type AppSKeyReq,
  type Dialect,
  dialectOf,
  encodeAppSKeyAns,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  type FailureCode,
  hasLookAlikes,
  type HomeNsReq,
  isRequestType,
  MessageError,
  parseAppSKeyReq,
  parseHomeNsReq,
  parseJoinReq,
  type ParsedMessage,
  parseMessage,
  parseRejoinReq,
  type PartialHeader,
  type RequestHeader,
  type RequestType,
} from '@mortise/backend-interfaces'
import { ApplicationServer, type AuthenticatedPeer, NetworkServer, type PeerRefusal } from '../../identity/index.ts'
import type { JoinEui } from '@mortise/lorawan'
import {
  type ActivationReq,
  type AnswerJoin,
  type FindHomeNetwork,
  JoinError,
  joinEuiOf,
  RESULT,
  type ReleaseAppSKey,
} from '../../join/index.ts'
import type { Forward } from '../../routing/index.ts'
import type { Metrics } from '../metrics.ts'
import { FIRST_HAND, type MessageContext } from './message-context.ts'

export interface MessageHandlerDependencies {
  readonly answerJoin: AnswerJoin
  readonly releaseAppSKey: ReleaseAppSKey
  readonly findHomeNetwork: FindHomeNetwork
  /** Asks the join server whose the JoinEUI of an unknown device is. */
  readonly forward: Forward
  readonly metrics: Metrics
  /** A refusal that somebody may want to look into; never holds more than identifiers and codes. */
  readonly refused: (refusal: RefusalEvent) => void
}

export interface RefusalEvent {
  readonly messageType: string
  readonly sender: string
  readonly devEui: string | undefined
  readonly result: string
  readonly code: string
  readonly cause: unknown
}

/** What goes back over HTTP. */
export interface HttpAnswer {
  readonly status: number
  /** Empty for a message that needs no answer. */
  readonly body: string
}

export type MessageHandler = (
  caller: AuthenticatedPeer | PeerRefusal,
  body: Uint8Array,
  context?: MessageContext,
) => Promise<HttpAnswer>

export const PEER_REFUSED: Record<PeerRefusal, string> = {
  unknown: 'no client certificate or token of a known peer',
  expired: 'the client certificate is outside its validity',
  disabled: 'the peer is disabled',
}

/** Application servers and strangers are answered as the standard has it. */
const STANDARD = dialectOf('standard-1.0')

/** How a caller writes and reads. */
export function dialectFor(caller: AuthenticatedPeer | PeerRefusal): Dialect {
  return caller instanceof NetworkServer ? caller.dialect : STANDARD
}

/**
 * One Backend Interfaces message, from bytes to answer, in the order of facts that TS002 leaves to the join server:
 * header, caller, members, and then the use-case. Every outcome but an unreadable header is HTTP 200 with a Result.
 */
export function createMessageHandler(dependencies: MessageHandlerDependencies): MessageHandler {
  return async function handleMessage(caller, body, context = FIRST_HAND) {
    const dialect = dialectFor(caller)
    const message = parseMessage(body, dialect)
    switch (message.kind) {
      case 'ignored':
        return { status: 200, body: '' }
      case 'malformed': {
        const { header, httpStatus, result, description } = message
        dependencies.metrics.answered(knownType(header), result)
        return { status: httpStatus, body: encodeFailure(header, result, description, dialect) }
      }
      case 'message':
        return { status: 200, body: await answer(dependencies, caller, message, { body, context }) }
    }
  }
}

/** What it takes to ask another join server. */
interface Sent {
  readonly body: Uint8Array
  readonly context: MessageContext
}

async function answer(
  dependencies: MessageHandlerDependencies,
  caller: AuthenticatedPeer | PeerRefusal,
  { header, members }: Pick<Extract<ParsedMessage, { kind: 'message' }>, 'header' | 'members'>,
  sent: Sent,
): Promise<string> {
  const peer = checkSender(caller, header)
  if (typeof peer === 'string') {
    const dialect = dialectFor(caller)
    return refuse(dependencies, dialect, { header }, 'UnknownSender', peer, 'sender', undefined)
  }
  try {
    switch (header.messageType) {
      case 'JoinReq':
        return await answerActivation(dependencies, peer, parseJoinReq(header, members), sent)
      case 'RejoinReq':
        return await answerActivation(dependencies, peer, parseRejoinReq(header, members), sent)
      case 'AppSKeyReq':
        return await answerAppSKeyReq(dependencies, peer, parseAppSKeyReq(header, members), sent)
      case 'HomeNSReq':
        return await answerHomeNsReq(dependencies, peer, parseHomeNsReq(header, members), sent)
    }
  } catch (error) {
    if (!(error instanceof MessageError)) throw error
    return refuse(dependencies, dialectFor(peer), { header }, error.code, error.description, 'message', undefined)
  }
}

async function answerActivation(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: ActivationReq,
  sent: Sent,
): Promise<string> {
  if (!(peer instanceof NetworkServer)) return refuseKind(dependencies, peer, request)
  const started = performance.now()
  try {
    const outcome = await dependencies.answerJoin(peer, request)
    dependencies.metrics.answered(request.header.messageType, 'Success')
    dependencies.metrics.joined((performance.now() - started) / 1000)
    return encodeJoinAns(request.header, outcome, peer.dialect)
  } catch (error) {
    return await refuseUseCase(dependencies, peer, { ...request, joinEui: joinEuiOf(request) }, sent, error)
  }
}

async function answerAppSKeyReq(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: AppSKeyReq,
  sent: Sent,
): Promise<string> {
  if (!(peer instanceof ApplicationServer)) return refuseKind(dependencies, peer, request)
  try {
    const outcome = await dependencies.releaseAppSKey(peer, request)
    dependencies.metrics.answered('AppSKeyReq', 'Success')
    return encodeAppSKeyAns(request.header, outcome)
  } catch (error) {
    return await refuseUseCase(dependencies, peer, { ...request, joinEui: request.header.receiverId }, sent, error)
  }
}

function answerHomeNsReq(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: HomeNsReq,
  sent: Sent,
): string | Promise<string> {
  if (!(peer instanceof NetworkServer)) return refuseKind(dependencies, peer, request)
  try {
    const outcome = dependencies.findHomeNetwork(peer, request)
    dependencies.metrics.answered('HomeNSReq', 'Success')
    return encodeHomeNsAns(request.header, outcome, peer.dialect)
  } catch (error) {
    return refuseUseCase(dependencies, peer, { ...request, joinEui: request.header.receiverId }, sent, error)
  }
}

/** The certificate, or the token, says who calls; SenderID has to say the same (SenderID alone is nobody's identity). */
function checkSender(caller: AuthenticatedPeer | PeerRefusal, header: RequestHeader): AuthenticatedPeer | string {
  if (typeof caller === 'string') return PEER_REFUSED[caller]
  return caller.id === header.senderId ? caller : 'SenderID is not that of the caller'
}

/** What a refusal is about. */
interface Refused {
  readonly header: RequestHeader
  readonly devEui?: string | undefined
}

function refuseKind(dependencies: MessageHandlerDependencies, peer: AuthenticatedPeer, request: Refused): string {
  const description = 'this peer may not send this message'
  return refuse(dependencies, dialectFor(peer), request, 'UnknownSender', description, 'peer_kind', undefined)
}

function refuseUseCase(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: Refused & { readonly joinEui: JoinEui },
  sent: Sent,
  error: unknown,
): string | Promise<string> {
  if (!(error instanceof JoinError)) throw error
  if (error.code === 'device_unknown') {
    const answer = askElsewhere(dependencies, peer, request, sent)
    if (answer !== undefined) return answer
  }
  const { result, description } = RESULT[error.code]
  return refuse(dependencies, dialectFor(peer), request, result, description, error.code, error.cause)
}

/** Undefined where nobody else is to be asked. */
function askElsewhere(
  { forward }: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  { header, joinEui }: Refused & { readonly joinEui: JoinEui },
  { body, context }: Sent,
): Promise<string> | undefined {
  const { isForwarded, handedOver } = context
  // The partner must not take another member for SenderID than the one that was checked.
  if (hasLookAlikes(body)) return undefined
  const answer = forward({ peer, dialect: dialectFor(peer), header, joinEui, body, isForwarded })
  if (answer !== undefined) handedOver()
  return answer
}

function refuse(
  { metrics, refused }: MessageHandlerDependencies,
  dialect: Dialect,
  { header, devEui }: Refused,
  result: FailureCode,
  description: string,
  code: string,
  cause: unknown,
): string {
  const { messageType, senderIdText } = header
  metrics.answered(messageType, result)
  refused({ messageType, sender: senderIdText, devEui, result, code, cause })
  return encodeFailure(header, result, description, dialect)
}

function knownType({ messageType }: PartialHeader): RequestType | 'other' {
  return isRequestType(messageType) ? messageType : 'other'
}
