export interface HttpAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

/** The server sent something that is no HTTP answer. */
export class MalformedAnswerError extends Error {
  override readonly name = 'MalformedAnswerError'
}

const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/
const MAX_HEAD_BYTES = 16_384
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/** Cuts what a server sends into HTTP/1.1 answers, strictly. */
export class AnswerParser {
  /** Whether the next answer is one to HEAD, which has no body. */
  readonly #bodyless: () => boolean
  #bytes: Buffer = Buffer.alloc(0)

  constructor(bodyless: () => boolean = () => false) {
    this.#bodyless = bodyless
  }

  /** Whether something of an answer is there, and its end is not. */
  get incomplete(): boolean {
    return this.#bytes.length > 0
  }

  /** Takes in bytes and gives every answer that is complete. @throws MalformedAnswerError */
  push(chunk: Buffer): HttpAnswer[] {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    const answers: HttpAnswer[] = []
    for (let answer = this.#take(); answer !== undefined; answer = this.#take())
      if (answer.status >= 200) answers.push(answer)
    return answers
  }

  #take(): HttpAnswer | undefined {
    const headEnd = this.#bytes.indexOf(END_OF_HEAD)
    if (headEnd === -1) {
      if (this.#bytes.length > MAX_HEAD_BYTES) throw new MalformedAnswerError('headers without end')
      return undefined
    }
    const { status, headers } = parseHead(this.#bytes.toString('latin1', 0, headEnd))
    const body = this.#body(status, headers, headEnd + END_OF_HEAD.length)
    if (body === undefined) return undefined
    this.#bytes = this.#bytes.subarray(body.end)
    return { status, headers, body: body.bytes }
  }

  #body(status: number, headers: ReadonlyMap<string, string>, start: number): Body | undefined {
    if (status < 200 || status === 204 || status === 304 || this.#bodyless()) return { bytes: NO_BYTES, end: start }
    if (headers.get('transfer-encoding') === 'chunked') return readChunks(this.#bytes, start)
    const length = headers.get('content-length') ?? ''
    if (!/^\d{1,7}$/.test(length)) throw new MalformedAnswerError('neither Content-Length nor chunks')
    const end = start + Number(length)
    return end > this.#bytes.length ? undefined : { bytes: this.#bytes.subarray(start, end), end }
  }
}

interface Body {
  readonly bytes: Buffer
  /** Where the next answer begins. */
  readonly end: number
}

const NO_BYTES = Buffer.alloc(0)

function parseHead(head: string): Omit<HttpAnswer, 'body'> {
  const [statusLine = '', ...lines] = head.split('\r\n')
  const status = STATUS_LINE.exec(statusLine)?.[1]
  if (status === undefined) throw new MalformedAnswerError(`status line ${JSON.stringify(statusLine.slice(0, 80))}`)
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = HEADER_LINE.exec(line) ?? []
    if (name === undefined || value === undefined) throw new MalformedAnswerError('header line')
    if (headers.has(name.toLowerCase())) throw new MalformedAnswerError(`${name} twice`)
    headers.set(name.toLowerCase(), value)
  }
  return { status: Number(status), headers }
}

function readChunks(bytes: Buffer, start: number): Body | undefined {
  const parts: Buffer[] = []
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = /^[0-9a-f]{1,6}$/.exec(bytes.toString('latin1', at, lineEnd))
    if (size === null) throw new MalformedAnswerError('size of a chunk')
    const length = Number.parseInt(size[0], 16)
    const end = lineEnd + 2 + length + 2
    if (end > bytes.length) return undefined
    parts.push(bytes.subarray(lineEnd + 2, end - 2))
    if (length === 0) return { bytes: Buffer.concat(parts), end }
    at = end
  }
}
