import { parseMessage } from '@mortise/backend-interfaces'
import type { NetworkServer } from '../../identity/index.ts'
import { isAnsweredLater, refuseBusy } from './busy.ts'
import { dialectFor, type MessageHandler } from './handle-message.ts'

/** Takes requests that are answered by a message of their own. */
export interface Taker {
  /** False when there are too many. */
  take(peer: NetworkServer, body: Uint8Array): Promise<boolean>
}

/**
 * `handle`, for peers that are answered in the response; requests of the others are taken, and acknowledged with an empty
 * body. What has no header to answer to is answered at once to everybody, and so is what another join server forwarded,
 * which waits for the response.
 */
export function answerLater(handle: MessageHandler, taker: Taker): MessageHandler {
  return async (caller, body, context) => {
    if (typeof caller === 'string' || !isAnsweredLater(caller) || context?.isForwarded === true)
      return handle(caller, body, context)
    const message = parseMessage(body, dialectFor(caller))
    if (message.kind !== 'message') return handle(caller, body, context)
    return (await taker.take(caller, body)) ? { status: 200, body: '' } : refuseBusy(caller, message.header)
  }
}
