import { setTimeout as delay } from 'node:timers/promises'
import { demand } from '../failure.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { withHarmlessOddities } from '../http/oddities.ts'
import { sendWithoutTls } from '../http/plain.ts'
import { encodeRequest, type HttpRequest, pieces, post } from '../http/request.ts'
import type { Random } from '../random.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import type { Callers } from './callers.ts'
import { checkAnswer } from './check-answer.ts'
import { checkJoinAns } from './check-success.ts'
import { DeviceModel } from './device-model.ts'
import { BUSY_STATUS, type Expectation, expectAnswer, type FindDevice } from './expect.ts'
import { judge, judgeShared, type Verdict } from './judge.ts'
import { MAX_BODY_BYTES } from './read-request.ts'
import type { Inbox } from './inbox.ts'
import type { Caller } from './peers.ts'
import type { SharedHistory } from './shared-history.ts'
import type { EnrolledDevice } from './devices.ts'

/** What one case works with. */
export interface Surroundings {
  readonly callers: Callers
  /** Where answers come that are posted. */
  readonly inbox: Inbox
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
    const answer = await this.#whenAdmitted(expected, () =>
      this.#wherePosted(expected, () => callers.of(caller).ask(bytes)),
    )
    return this.#counted(judge(scanner, expected, answer), expected)
  }

  /** The same on a connection of its own, in pieces, and perhaps with TLS resumed. */
  async sayApart(caller: Caller, request: HttpRequest, body: Buffer): Promise<Verdict> {
    const { callers, find, scanner } = this.#surroundings
    const expected = expectAnswer(find, caller, body)
    const bytes = this.#record(encodeRequest(request))
    const exchange = async (): Promise<HttpAnswer> => {
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
    }
    const answer = await this.#whenAdmitted(expected, () => this.#wherePosted(expected, exchange))
    return this.#counted(judge(scanner, expected, answer), expected)
  }

  /** Posts a body of a device that other cases use at the same time. */
  async sayShared(caller: Caller, body: Buffer, device: EnrolledDevice, history: SharedHistory): Promise<Verdict> {
    const { callers, scanner } = this.#surroundings
    const expected = expectAnswer(() => new DeviceModel(device), caller, body)
    const { horizon } = history
    const bytes = this.#record(encodeRequest(post(body)))
    const answer = await this.#whenAdmitted(expected, () => callers.of(caller).ask(bytes))
    const verdict = judgeShared(scanner, expected, answer)
    if (verdict.joined !== undefined) history.add(verdict.joined, horizon)
    return this.#counted(verdict, expected)
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
      count(given?.code === 'Success' ? 'Success in a stream' : (given?.code ?? `HTTP ${answer.status}`))
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

  /** The answer where it belongs: in the response, or at the URL of the caller after an empty one. */
  async #wherePosted({ posted, header }: Expectation, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    if (!posted || header === undefined) return await ask()
    const expected = this.#surroundings.inbox.expect(header, ANSWER_MS)
    const response = await ask()
    if (!isAcknowledgement(response)) {
      expected.cancel()
      return response
    }
    this.#surroundings.count('posted')
    return await expected.answer
  }

  /** A server with too much to do says so at once and changes nothing: the same request is made again. */
  async #whenAdmitted(expected: Expectation, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const { scanner, count } = this.#surroundings
    const deadline = performance.now() + ANSWER_MS
    for (;;) {
      const answer = await ask()
      if (!answer.body.includes(BUSY) || expected.status === BUSY_STATUS) return answer
      const given = checkAnswer(scanner, answer, busyStatus(expected))
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

  /** A Success by its message, so that one of which every kind is refused is seen. */
  #counted(verdict: Verdict, { header }: Pick<Expectation, 'header'> = { header: undefined }): Verdict {
    const { code } = verdict
    this.#surroundings.count(code === 'Success' ? `${code} of ${header?.messageType ?? 'nothing'}` : code)
    return verdict
  }
}

/**
 * Whether an answer will be posted. @throws OracleFailure when it is here already; only a server that is busy says so at once
 */
export function isAcknowledgement({ status, body }: HttpAnswer): boolean {
  if (body.includes(BUSY)) return false
  demand(status === 200 && body.length === 0, 'not_posted', `${status} and ${body.length} bytes in the response`)
  return true
}

/** How a server says that it has too much to do: who gets answers in messages of their own does not read the response. */
export function busyStatus({ posted }: Pick<Expectation, 'posted'>): number {
  return posted ? BUSY_STATUS : 200
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
