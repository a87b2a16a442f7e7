import { setTimeout as delay } from 'node:timers/promises'
import { demand } from '../failure.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { sendWithoutTls } from '../http/plain.ts'
import { chunked, encodeRequest, type HttpRequest, pieces, post } from '../http/request.ts'
import type { Random } from '../random.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import type { Callers } from './callers.ts'
import { checkAnswer } from './check-answer.ts'
import { checkJoinAns } from './check-success.ts'
import { DeviceModel } from './device-model.ts'
import { type Expectation, expectAnswer, type FindDevice } from './expect.ts'
import { judge, judgeShared, type Verdict } from './judge.ts'
import { MAX_BODY_BYTES } from './read-request.ts'
import type { SharedHistory } from './shared-history.ts'
import type { Caller, EnrolledDevice } from './world.ts'

/** What one case works with. */
export interface Surroundings {
  readonly callers: Callers
  readonly scanner: SecretScanner
  readonly find: FindDevice
  /** Takes note of what was answered. */
  readonly count: (what: string) => void
}

const ODD_HTTP_SHARE = 0.08
/** How long an answer that must come may take on a busy machine, and how long one that may come is waited for. */
const ANSWER_MS = 15_000
const QUIET_MS = 80
const BUSY = '"Description":"busy, try again"'
const BUSY_MS = 20
const CONTENT_TYPES = ['application/json', 'application/json; charset=utf-8', 'text/html; charset=utf-16', '']
/** Callers that are nobody known: less is read of them, and no connection of theirs is kept. */
const STRANGERS: ReadonlySet<Caller> = new Set(['stranger', 'nobody', 'disabled'])
const MAX_STRANGER_BODY_BYTES = 4096
const HEAD_START = Buffer.from('HEAD ')

/** One case: what it says to the listener, what is held against the answers, and a record of what was sent. */
export class Conversation {
  readonly random: Random
  readonly sent: Buffer[] = []
  readonly #surroundings: Surroundings

  constructor(random: Random, surroundings: Surroundings) {
    this.random = random
    this.#surroundings = surroundings
  }

  /** Posts a body; the answer has to be the one that the model expects. */
  async say(caller: Caller, body: Buffer): Promise<Verdict> {
    const isStranger = STRANGERS.has(caller)
    if (body.length > (isStranger ? MAX_STRANGER_BODY_BYTES : MAX_BODY_BYTES))
      return await this.#sayTooMuch(caller, body)
    const request = this.#sayOddly(body)
    if (isStranger) return await this.sayApart(caller, request, body)
    const { callers, find, scanner } = this.#surroundings
    const expected = expectAnswer(find, caller, body)
    const bytes = this.#record(encodeRequest(request))
    const answer = await this.#whenAdmitted(() => callers.of(caller).ask(bytes))
    return this.#counted(judge(scanner, expected, answer))
  }

  /** The same on a connection of its own, in pieces, and perhaps with TLS resumed. */
  async sayApart(caller: Caller, request: HttpRequest, body: Buffer): Promise<Verdict> {
    const { callers, find, scanner } = this.#surroundings
    const expected = expectAnswer(find, caller, body)
    const bytes = this.#record(encodeRequest(request))
    const answer = await this.#whenAdmitted(async () => {
      const connection = await callers.of(caller).openOwn(this.random)
      const { answers, complaint } = await connection.exchange(pieces(this.random, bytes), 1, ANSWER_MS)
      const [answer, ...more] = answers
      demand(
        complaint === undefined && more.length === 0,
        'http_stream',
        complaint ?? `${more.length} answers too many`,
      )
      demand(answer !== undefined, 'no_answer', 'to a request in order')
      return answer
    })
    return this.#counted(judge(scanner, expected, answer))
  }

  /** Posts a body of a device that other cases use at the same time. */
  async sayShared(caller: Caller, body: Buffer, device: EnrolledDevice, history: SharedHistory): Promise<Verdict> {
    const { callers, scanner } = this.#surroundings
    const expected = expectAnswer(() => new DeviceModel(device), caller, body)
    const { horizon } = history
    const bytes = this.#record(encodeRequest(post(body)))
    const answer = await this.#whenAdmitted(() => callers.of(caller).ask(bytes))
    const verdict = judgeShared(scanner, expected, answer)
    if (verdict.joined !== undefined) history.add(verdict.joined, horizon)
    return this.#counted(verdict)
  }

  /**
   * Sends a stream that may be anything, over a connection of its own. Whatever comes back are answers that may be given,
   * and a Success is one to a body of `bodies`, or to what became of one in the stream.
   */
  async sayAnything(
    caller: Caller,
    stream: readonly Buffer[],
    bodies: readonly Buffer[],
    device: EnrolledDevice,
    history: SharedHistory,
  ): Promise<void> {
    const { callers, scanner, count } = this.#surroundings
    const whole = this.#record(Buffer.concat(stream))
    const { horizon } = history
    const bodyless = whole.subarray(0, HEAD_START.length).equals(HEAD_START)
    const connection = await callers.of(caller).openOwn(this.random, () => bodyless)
    const { answers, complaint } = await connection.exchange(stream, bodies.length, QUIET_MS)
    demand(complaint === undefined, 'http_stream', complaint ?? '')
    const expectations = [...bodies, ...bodiesIn(whole)].map((body) =>
      expectAnswer(() => new DeviceModel(device), caller, body),
    )
    for (const answer of answers) {
      const given = checkAnswer(scanner, answer)
      count(given?.code ?? `HTTP ${answer.status}`)
      if (given?.code === 'Success') history.add(joinOfAny(expectations, given), horizon)
    }
    if (answers.length === 0) count('closed')
  }

  /** The same bytes, or others, to the port itself. */
  async sayWithoutTls(bytes: Buffer): Promise<void> {
    const { callers, count } = this.#surroundings
    await sendWithoutTls(callers.address, this.#record(bytes))
    count('closed')
  }

  /** The connection ends with a body that nobody reads to its end: the answer may be lost with it. */
  async #sayTooMuch(caller: Caller, body: Buffer): Promise<Verdict> {
    const { callers, scanner } = this.#surroundings
    const request = this.#record(encodeRequest(post(body)))
    const connection = await callers.of(caller).openOwn(this.random)
    const { answers, complaint } = await connection.exchange([request], 1, ANSWER_MS)
    demand(complaint === undefined, 'http_stream', complaint ?? '')
    const [answer] = answers
    if (answer === undefined) return this.#counted({ code: 'closed' })
    const { code = 'empty' } = checkAnswer(scanner, answer) ?? {}
    const refused =
      answer.status === 400 ? code === 'MalformedMessage' : STRANGERS.has(caller) && code === 'UnknownSender'
    demand(refused, 'http_status', `${answer.status} ${code}`)
    return this.#counted({ code })
  }

  /** A server with too much to do says so at once and changes nothing: the same request is made again. */
  async #whenAdmitted(ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const { scanner, count } = this.#surroundings
    const deadline = performance.now() + ANSWER_MS
    for (;;) {
      const answer = await ask()
      if (!answer.body.includes(BUSY)) return answer
      const given = checkAnswer(scanner, answer)
      demand(given?.code === 'Other' && performance.now() < deadline, 'busy', given?.code ?? 'no answer')
      count('busy')
      await delay(BUSY_MS)
    }
  }

  #sayOddly(body: Buffer): HttpRequest {
    const request = post(body)
    return this.random.chance(ODD_HTTP_SHARE) ? withHarmlessOddities(this.random, request, body) : request
  }

  #record(bytes: Buffer): Buffer {
    this.sent.push(bytes)
    return bytes
  }

  #counted(verdict: Verdict): Verdict {
    this.#surroundings.count(verdict.code)
    return verdict
  }
}

/** HTTP as some other client writes it: header names in any case and order, chunks, a query, blanks. */
export function withHarmlessOddities(random: Random, request: HttpRequest, body: Buffer): HttpRequest {
  const inChunks = random.chance(0.4)
  const headers = request.headers.map(([name, value]): [string, string] => {
    if (name === 'Content-Type') return [name, random.pick(CONTENT_TYPES)]
    return name === 'Content-Length' && inChunks ? ['Transfer-Encoding', 'chunked'] : [name, value]
  })
  const more: [string, string][] = [
    ['User-Agent', 'x'.repeat(random.below(500))],
    ['Accept', '*/*'],
    ['Content-Encoding', 'identity'],
    ['Connection', 'keep-alive'],
    ['X-Forwarded-For', '::1'],
    ['Cookie', 'a=b; a=c'],
  ]
  const written = random.shuffled([...headers, ...random.shuffled(more).slice(0, random.below(4))])
  return {
    ...request,
    target: random.chance(0.1) ? `/?${random.below(1000)}` : '/',
    headers: written.map(([name, value]) => [
      random.chance(0.3) ? name.toLowerCase() : random.chance(0.2) ? name.toUpperCase() : name,
      // Node takes a coding with blanks behind it for another one, and closes; so it stands without.
      random.chance(0.1) ? `  ${value}${value === 'chunked' ? '' : '\t '}` : value,
    ]),
    content: inChunks ? chunked(random, body) : body,
  }
}

/** What the server may take for a body: as many bytes behind a head as it says, or what stands between braces. */
function bodiesIn(stream: Buffer): Buffer[] {
  const text = stream.toString('latin1')
  const announced = Array.from(text.matchAll(/content-length: *(\d+)[^]*?\r?\n\r?\n/gi), (match) => {
    const start = match.index + match[0].length
    return stream.subarray(start, start + Number(match[1]))
  })
  const braced = Array.from(text.matchAll(/\{[^{}]*\}/g), ([body]) => Buffer.from(body, 'latin1'))
  return [...announced, ...braced]
}

function joinOfAny(expectations: readonly Expectation[], given: Parameters<typeof checkJoinAns>[0]) {
  const joins = expectations.flatMap(({ join }) => (join === undefined ? [] : [join]))
  let failure: unknown
  for (const join of joins) {
    try {
      return checkJoinAns(given, join)
    } catch (error) {
      failure = error
    }
  }
  demand(joins.length > 0, 'false_success', 'to a stream without a valid join')
  throw failure
}
