import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { JOIN_REQUEST, readAirRequest } from '../air-requests.ts'
import { demand } from '../failure.ts'
import type { Random } from '../random.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import { CODES, checkFrame, checkJoin, checkRelease, settle } from './check-answer.ts'
import { FrameConnection } from './connection.ts'
import { expectJoin, expectRelease, expectVerify } from './expect.ts'
import { type Frame, frame, framesOf } from './frames.ts'
import type { KnownRecords, KnownSession } from './known-records.ts'
import type { Link } from './link.ts'

/** What one case works with. */
export interface Surroundings {
  readonly records: KnownRecords
  readonly scanner: SecretScanner
  /** A link that is open. */
  readonly link: () => Promise<Link>
  readonly serverSocket: string
  readonly custodianSocket: string
  readonly count: (what: string) => void
}

const QUIET_MS = 40

/** One case: what it says to the sockets of the trust boundary, and what is held against the answers. */
export class Talk {
  readonly random: Random
  readonly sent: Buffer[] = []
  readonly #surroundings: Surroundings

  constructor(random: Random, surroundings: Surroundings) {
    this.random = random
    this.#surroundings = surroundings
  }

  get records(): KnownRecords {
    return this.#surroundings.records
  }

  count(what: string): void {
    this.#surroundings.count(what)
  }

  /** Gives the session of a join that was rightly answered. */
  async join(payload: Buffer): Promise<KnownSession | undefined> {
    const expected = expectJoin(this.records, payload)
    const { code, answer, link } = await this.ask(FRAME.answerJoin, payload)
    const accepted = settle(expected, code, CODES.join)
    if (accepted === undefined) return undefined
    const { session, receipt } = checkJoin(answer, accepted)
    if (readAirRequest(accepted.frame)?.type !== JOIN_REQUEST) this.count('accepted rejoin')
    link.takeReceipt(receipt)
    return session
  }

  async verify(payload: Buffer): Promise<void> {
    const expected = expectVerify(this.records, payload)
    const { code, answer } = await this.ask(FRAME.verifyJoinRequest, payload)
    if (settle(expected, code, CODES.verify) === undefined) return
    demand(answer.type === FRAME.joinRequestVerified && answer.payload.length === 0, 'frame_type', String(answer.type))
  }

  async release(payload: Buffer, fresh: KnownSession | undefined): Promise<void> {
    const expected = expectRelease(this.records, payload, fresh)
    const { code, answer, link } = await this.ask(FRAME.releaseAppSKey, payload)
    const accepted = settle(expected, code, CODES.release)
    if (accepted !== undefined) link.takeReceipt(checkRelease(answer, accepted).receipt)
  }

  /** Asks anything over a link; gives the code and the answer. */
  async ask(type: number, payload: Buffer): Promise<{ code: string; answer: Frame; link: Link }> {
    const { link: take, scanner, count } = this.#surroundings
    const link = await take()
    this.sent.push(frame(type, 0, payload))
    const answer = await link.ask(type, payload)
    demand(answer !== undefined, 'closed', link.complaint ?? 'no answer')
    const code = checkFrame(scanner, answer)
    count(code)
    return { code, answer, link }
  }

  /** Says what gets no answer, and asks something behind it: the other side has seen both when it answers. */
  async tell(type: number, payload: Buffer, question: Buffer): Promise<void> {
    const { link: take, count } = this.#surroundings
    const link = await take()
    this.sent.push(frame(type, 0, payload))
    link.tell(type, payload)
    await link.ask(FRAME.verifyJoinRequest, question)
    demand(link.complaint === undefined, 'unasked_answer', link.complaint ?? '')
    count('silence')
  }

  /**
   * A stream that may be anything, on a connection of its own. What comes back are frames that may be given; a join among
   * them is one that the stream asks for.
   */
  async stream(stream: readonly Buffer[], socket: 'server' | 'custodian'): Promise<void> {
    const { serverSocket, custodianSocket, scanner, count } = this.#surroundings
    this.sent.push(...stream)
    const connection = await FrameConnection.open(socket === 'server' ? serverSocket : custodianSocket)
    const { frames, complaint } = await connection.exchange(stream, QUIET_MS)
    demand(complaint === undefined, 'frame_stream', complaint ?? '')
    for (const given of frames) {
      count(checkFrame(scanner, given))
      if (given.type === FRAME.joinAnswered) this.#demandJoinOf(given, framesOf(Buffer.concat(stream)))
      demand(
        given.type !== FRAME.appSKeyReleased && given.type !== FRAME.orderApplied,
        'false_success',
        String(given.type),
      )
    }
    if (frames.length === 0) count('closed')
  }

  #demandJoinOf(given: Frame, asked: readonly Frame[]): void {
    const question = asked.find(({ type, id }) => type === FRAME.answerJoin && id === given.id)
    const expected = question && expectJoin(this.records, question.payload)
    const refused = expected === undefined || expected === 'malformed' || expected === 'refused'
    demand(!refused, 'false_success', 'a join that nobody asked for')
    checkJoin(given, expected)
  }
}
