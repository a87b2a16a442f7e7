import type { IncomingMessage } from 'node:http'

/** A whole body; `too large` as soon as it is known to be; `aborted` when the client is gone. */
export type ReadBody = Buffer | 'too large' | 'aborted'

/** Reads a body of at most `maxBytes`. What is too large is neither read to its end nor kept. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<ReadBody> {
  if (Number(request.headers['content-length']) > maxBytes) return Promise.resolve('too large')
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else resolve('too large')
    })
    request.on('end', () => {
      const [first] = chunks
      resolve(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks))
    })
    request.on('close', () => {
      resolve('aborted')
    })
  })
}
