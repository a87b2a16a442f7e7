import { encodeFailure, type RequestHeader } from '@mortise/backend-interfaces'
import { type AuthenticatedPeer, NetworkServer } from '../../identity/index.ts'
import { dialectFor, type HttpAnswer } from './handle-message.ts'

const BUSY = 'busy, try again'

/** Whether a peer gets its answers as messages of their own. */
export function isAnsweredLater(peer: AuthenticatedPeer): peer is NetworkServer {
  return peer instanceof NetworkServer && peer.asyncUrl !== undefined
}

/**
 * Refuses a request that was not looked at. A peer that waits for a message of its own does not read the body; the status
 * tells it at once.
 */
export function refuseBusy(peer: AuthenticatedPeer, header: RequestHeader): HttpAnswer {
  const status = isAnsweredLater(peer) ? 503 : 200
  return { status, body: encodeFailure(header, 'Other', BUSY, dialectFor(peer)) }
}
