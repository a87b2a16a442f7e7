import type { Connections } from './connections.ts'

/**
 * Runs `close`, which stops a server from listening and resolves when its connections are gone, and sees to it that they
 * go: each ends after the answer in flight, and after `timeoutMs` every one: who has sent nothing by then, or reads no
 * answer, is cut off. Node by itself would wait for a connection on which no request ever came for as long as the peer
 * likes.
 */
export async function drain(connections: Connections, timeoutMs: number, close: () => Promise<void>): Promise<void> {
  const limit = setTimeout(() => {
    connections.destroy()
  }, timeoutMs)
  try {
    const closed = close()
    connections.drain()
    await closed
  } finally {
    clearTimeout(limit)
  }
}
