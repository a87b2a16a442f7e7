import { createHash } from 'node:crypto'

/** 32 hexadecimal digits that two events have in common when all parts are the same, and else do not. */
export function eventId(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bytes.length)
    hash.update(size).update(bytes)
  }
  return hash.digest('hex').slice(0, 32)
}
