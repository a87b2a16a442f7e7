import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { demand } from '../failure.ts'
import { FrameConnection } from './connection.ts'
import { bigEndian } from './cursor.ts'
import type { Frame } from './frames.ts'
import { readReceipt, readReceipts, readWelcome } from './read-answer.ts'

const ACKNOWLEDGE_EVERY = 256

/** A connection to a worker that has said hello and acknowledges receipts, as a server does that has stored them. */
export class Link {
  readonly #connection: FrameConnection
  #unacknowledged = 0

  private constructor(connection: FrameConnection) {
    this.#connection = connection
  }

  /** @throws OracleFailure when the worker does not say welcome */
  static async open(path: string): Promise<Link> {
    const connection = await FrameConnection.open(path, (payload) => {
      link.#takeReceipts(payload)
    })
    const link: Link = new Link(connection)
    const welcome = await connection.ask(FRAME.hello, bigEndian(6, 0))
    const read = welcome?.type === FRAME.welcome ? readWelcome(welcome.payload) : undefined
    demand(read !== undefined, 'no_welcome', String(welcome?.type))
    return link
  }

  get closed(): boolean {
    return this.#connection.closed
  }

  get complaint(): string | undefined {
    return this.#connection.complaint
  }

  ask(type: number, payload: Buffer): Promise<Frame | undefined> {
    return this.#connection.ask(type, payload)
  }

  tell(type: number, payload: Buffer): void {
    this.#connection.tell(type, payload)
  }

  /** Takes note of a receipt that came with an answer. */
  takeReceipt(receipt: Buffer): void {
    const name = readReceipt(receipt)
    demand(name !== undefined, 'receipt', receipt.toString('hex'))
    if (++this.#unacknowledged < ACKNOWLEDGE_EVERY) return
    this.#unacknowledged = 0
    const { bootEpoch, worker, sequence } = name
    const acknowledged = [bigEndian(6, bootEpoch), bigEndian(4, worker), bigEndian(6, sequence)]
    this.tell(FRAME.acknowledgeReceipts, Buffer.concat(acknowledged))
  }

  close(): void {
    this.#connection.close()
  }

  #takeReceipts(payload: Buffer): void {
    const receipts = readReceipts(payload)
    demand(receipts !== undefined, 'receipts', payload.toString('hex').slice(0, 200))
    for (const receipt of receipts) this.takeReceipt(receipt)
  }
}
