/** A line of a file, without its line break. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Undefined when it is longer than the limit. */
  readonly text: string | undefined
}

const LINE_FEED = 0x0a
const BYTE_ORDER_MARK = '\uFEFF'

/** Splits a stream into lines and never holds more than one of at most `maxBytes`. */
export async function* readLines(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Buffer[] = []
  let size = 0
  let number = 1
  const take = (): Line => {
    const text = size > maxBytes ? undefined : Buffer.concat(parts).toString()
    parts = []
    size = 0
    const line = { number, text: number === 1 ? text?.replace(BYTE_ORDER_MARK, '') : text }
    number++
    return line
  }
  const add = (part: Buffer): void => {
    size += part.length
    if (size <= maxBytes) parts.push(part)
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      add(chunk.subarray(start, end))
      yield take()
      start = end + 1
    }
    add(chunk.subarray(start))
  }
  if (size > 0) yield take()
}
