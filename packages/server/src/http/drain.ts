import type { Server } from 'node:http'

/** Longer than a join may take; who has sent nothing by then, or reads no answer, is cut off. */
const DRAIN_TIMEOUT_MS = 8000

/** How soon a connection ends after its last answer. */
const IDLE_CHECK_MS = 50

/**
 * Runs `close`, which stops a server from listening and resolves when its connections are gone, and sees to it that they
 * go: one that a peer would keep alive ends after the answer in flight, and after `timeoutMs` every one ends. Node by
 * itself would wait for a connection on which no request ever came for as long as the peer likes.
 */
export async function drain(
  server: Pick<Server, 'closeIdleConnections' | 'closeAllConnections'>,
  close: () => Promise<void>,
  timeoutMs = DRAIN_TIMEOUT_MS,
): Promise<void> {
  const idle = setInterval(() => {
    server.closeIdleConnections()
  }, IDLE_CHECK_MS)
  const limit = setTimeout(() => {
    server.closeAllConnections()
  }, timeoutMs)
  try {
    await close()
  } finally {
    clearInterval(idle)
    clearTimeout(limit)
  }
}
