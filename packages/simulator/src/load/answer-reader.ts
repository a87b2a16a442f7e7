const END_OF_HEAD = '\r\n\r\n'
const MAX_HEAD_BYTES = 16 * 1024

/** What came back is not the HTTP/1.1 that is read here. */
export class AnswerFormatError extends Error {
  override readonly name = 'AnswerFormatError'
}

export interface ReadAnswer {
  readonly status: number
  /** As Latin-1 text: answers of a join server are ASCII. */
  readonly body: string
}

/**
 * Reads the answers of one connection: a status line, headers with Content-Length, a body. That is all that a join
 * server sends, and reading no more keeps the load generator well ahead of what it measures.
 */
export class AnswerReader {
  #pending = ''

  /** The answer that is complete with this chunk; `undefined` while it is not. @throws {AnswerFormatError} */
  push(chunk: Buffer): ReadAnswer | undefined {
    this.#pending += chunk.toString('latin1')
    const headEnd = this.#pending.indexOf(END_OF_HEAD)
    if (headEnd === -1) {
      if (this.#pending.length > MAX_HEAD_BYTES) throw new AnswerFormatError('the head of the answer has no end')
      return undefined
    }
    const bodyStart = headEnd + END_OF_HEAD.length
    const bodyEnd = bodyStart + contentLength(this.#pending, headEnd)
    if (this.#pending.length < bodyEnd) return undefined
    // One request at a time is under way, so that nothing can follow.
    if (this.#pending.length > bodyEnd) throw new AnswerFormatError('bytes that nobody asked for')
    const answer = { status: Number(this.#pending.slice(9, 12)), body: this.#pending.slice(bodyStart) }
    this.#pending = ''
    return answer
  }
}

const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i

function contentLength(text: string, headEnd: number): number {
  const match = CONTENT_LENGTH.exec(text.slice(0, headEnd))
  if (!text.startsWith('HTTP/1.1 ') || match === null) throw new AnswerFormatError('no Content-Length')
  return Number(match[1])
}
