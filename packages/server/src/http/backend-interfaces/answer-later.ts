import { encodeFailure, parseMessage } from '@mortise/backend-interfaces'
import { NetworkServer } from '../../identity/index.ts'
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
    if (!(caller instanceof NetworkServer) || caller.asyncUrl === undefined || context?.isForwarded === true)
      return handle(caller, body, context)
    const dialect = dialectFor(caller)
    const message = parseMessage(body, dialect)
    if (message.kind !== 'message') return handle(caller, body, context)
    if (await taker.take(caller, body)) return { status: 200, body: '' }
    // A peer that waits for a message of its own does not read the body; the status tells it at once.
    return { status: 503, body: encodeFailure(message.header, 'Other', 'busy, try again', dialect) }
  }
}
