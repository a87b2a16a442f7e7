import type { Reading } from '../sink.ts'

/** A reading as one line of JSON, UTF-8. */
export function readingJson(reading: Reading): Buffer {
  return Buffer.from(JSON.stringify(reading))
}
