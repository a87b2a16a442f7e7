import {
  type AppSKeyReq,
  encodeAppSKeyAns,
  encodeFailure,
  encodeJoinAns,
  type FailureCode,
  isRequestType,
  MessageError,
  parseAppSKeyReq,
  parseJoinReq,
  parseMessage,
  type JoinReq,
  type PartialHeader,
  type RequestHeader,
  type RequestType,
} from '@mortise/backend-interfaces'
import { ApplicationServer, type AuthenticatedPeer, NetworkServer, type PeerRefusal } from '../../identity/index.ts'
import { type AnswerJoin, JoinError, RESULT, type ReleaseAppSKey } from '../../join/index.ts'
import type { Metrics } from '../metrics.ts'

export interface MessageHandlerDependencies {
  readonly answerJoin: AnswerJoin
  readonly releaseAppSKey: ReleaseAppSKey
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

export type MessageHandler = (caller: AuthenticatedPeer | PeerRefusal, body: Uint8Array) => Promise<HttpAnswer>

export const PEER_REFUSED: Record<PeerRefusal, string> = {
  unknown: 'the client certificate is not that of a known peer',
  expired: 'the client certificate is outside its validity',
  disabled: 'the peer is disabled',
}

/**
 * One Backend Interfaces message, from bytes to answer, in the order of facts that TS002 leaves to the join server:
 * header, caller, members, and then the use-case. Every outcome but an unreadable header is HTTP 200 with a Result.
 */
export function createMessageHandler(dependencies: MessageHandlerDependencies): MessageHandler {
  return async function handleMessage(caller, body) {
    const message = parseMessage(body)
    switch (message.kind) {
      case 'ignored':
        return { status: 200, body: '' }
      case 'malformed':
        dependencies.metrics.answered(servedType(message.header), message.result)
        return { status: message.httpStatus, body: encodeFailure(message.header, message.result, message.description) }
      case 'message':
        return { status: 200, body: await answer(dependencies, caller, message.header, message.members) }
    }
  }
}

async function answer(
  dependencies: MessageHandlerDependencies,
  caller: AuthenticatedPeer | PeerRefusal,
  header: RequestHeader,
  members: Record<string, unknown>,
): Promise<string> {
  const peer = checkSender(caller, header)
  if (typeof peer === 'string')
    return refuse(dependencies, header, undefined, 'UnknownSender', peer, 'sender', undefined)
  try {
    return header.messageType === 'JoinReq'
      ? await answerJoinReq(dependencies, peer, parseJoinReq(header, members))
      : await answerAppSKeyReq(dependencies, peer, parseAppSKeyReq(header, members))
  } catch (error) {
    if (!(error instanceof MessageError)) throw error
    return refuse(dependencies, header, undefined, error.code, error.description, 'message', undefined)
  }
}

async function answerJoinReq(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: JoinReq,
): Promise<string> {
  if (!(peer instanceof NetworkServer)) return refuseKind(dependencies, request)
  const started = performance.now()
  try {
    const outcome = await dependencies.answerJoin(peer, request)
    dependencies.metrics.answered('JoinReq', 'Success')
    dependencies.metrics.joined((performance.now() - started) / 1000)
    return encodeJoinAns(request.header, outcome)
  } catch (error) {
    return refuseUseCase(dependencies, request, error)
  }
}

async function answerAppSKeyReq(
  dependencies: MessageHandlerDependencies,
  peer: AuthenticatedPeer,
  request: AppSKeyReq,
): Promise<string> {
  if (!(peer instanceof ApplicationServer)) return refuseKind(dependencies, request)
  try {
    const outcome = await dependencies.releaseAppSKey(peer, request)
    dependencies.metrics.answered('AppSKeyReq', 'Success')
    return encodeAppSKeyAns(request.header, outcome)
  } catch (error) {
    return refuseUseCase(dependencies, request, error)
  }
}

/** The certificate says who calls; SenderID has to say the same (SenderID alone is nobody's identity). */
function checkSender(caller: AuthenticatedPeer | PeerRefusal, header: RequestHeader): AuthenticatedPeer | string {
  if (typeof caller === 'string') return PEER_REFUSED[caller]
  return caller.id === header.senderId ? caller : 'SenderID is not that of the client certificate'
}

function refuseKind(dependencies: MessageHandlerDependencies, request: JoinReq | AppSKeyReq): string {
  const description = 'this peer may not send this message'
  return refuse(dependencies, request.header, request.devEui, 'UnknownSender', description, 'peer_kind', undefined)
}

function refuseUseCase(
  dependencies: MessageHandlerDependencies,
  request: JoinReq | AppSKeyReq,
  error: unknown,
): string {
  if (!(error instanceof JoinError)) throw error
  const { result, description } = RESULT[error.code]
  return refuse(dependencies, request.header, request.devEui, result, description, error.code, error.cause)
}

function refuse(
  { metrics, refused }: MessageHandlerDependencies,
  header: RequestHeader,
  devEui: string | undefined,
  result: FailureCode,
  description: string,
  code: string,
  cause: unknown,
): string {
  const { messageType, senderIdText } = header
  metrics.answered(messageType, result)
  refused({ messageType, sender: senderIdText, devEui, result, code, cause })
  return encodeFailure(header, result, description)
}

function servedType({ messageType }: PartialHeader): RequestType | 'other' {
  return isRequestType(messageType) ? messageType : 'other'
}
