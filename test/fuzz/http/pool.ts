import type { ConnectionOptions } from 'node:tls'
import { Connection } from './connection.ts'
import type { HttpAnswer } from './answer-parser.ts'

const RESUMED_SHARE = 0.85
/** The server closes what is idle, and may do so just when the next request is on its way. */
const MAX_IDLE_MS = 2000

/** The connections of one caller: a few that are kept, and any number of its own cases. */
export class CallerConnections {
  readonly #options: ConnectionOptions
  readonly #kept: (Promise<Connection> | undefined)[]
  #next = 0
  #session: Buffer | undefined
  readonly #complaints: string[] = []

  constructor(options: ConnectionOptions, kept: number) {
    this.#options = options
    this.#kept = Array.from({ length: kept }, () => undefined)
  }

  /** What was wrong on the kept connections. */
  get complaints(): readonly string[] {
    return this.#complaints
  }

  /** Sends a request that leaves the connection usable. @throws Error when the server closes it all the same */
  async ask(request: Buffer): Promise<HttpAnswer> {
    const connection = await this.#take()
    const answer = await connection.ask(request)
    if (connection.complaint !== undefined) this.#complaints.push(connection.complaint)
    if (answer === undefined) throw new Error(`the server closed a connection: ${connection.complaint ?? 'no reason'}`)
    return answer
  }

  /** A connection for one case, `resumed` from an earlier TLS session if there is one. */
  openOwn(dice: { chance(probability: number): boolean }, bodyless?: () => boolean): Promise<Connection> {
    const resumed = this.#session !== undefined && dice.chance(RESUMED_SHARE)
    const options = resumed ? { ...this.#options, session: this.#session } : this.#options
    return Connection.open(options, (session) => (this.#session = session), bodyless)
  }

  async close(): Promise<void> {
    for (const opening of this.#kept.splice(0)) {
      // One that could not be opened was the failure of a case.
      const connection = await opening?.catch(() => undefined)
      connection?.close()
    }
  }

  async #take(): Promise<Connection> {
    const slot = this.#next++ % this.#kept.length
    const known = this.#kept[slot]
    const connection = await known
    if (connection !== undefined && isUsable(connection)) return connection
    connection?.close()
    // Somebody else may have opened another one meanwhile.
    const opened = this.#kept[slot] === known ? Connection.open(this.#options) : this.#kept[slot]
    this.#kept[slot] = opened
    return await (opened ?? Connection.open(this.#options))
  }
}

function isUsable(connection: Connection): boolean {
  return !connection.closed && (connection.waiting > 0 || connection.idleMs < MAX_IDLE_MS)
}
