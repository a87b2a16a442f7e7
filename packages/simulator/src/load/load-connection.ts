import { connect, type SecureContext, type TLSSocket } from 'node:tls'
import { AnswerReader, type ReadAnswer } from './answer-reader.ts'

export interface LoadTarget {
  readonly host: string
  readonly port: number
  /** CA, client certificate and key: set up once, because that costs more than a handshake. */
  readonly secureContext: SecureContext
  /** Where from: an address of this machine. */
  readonly localAddress?: string
}

export interface ConnectionEvents {
  /** Its handshake is done. */
  secured?(connection: LoadConnection): void
  answered(connection: LoadConnection, answer: ReadAnswer): void
  /** It is closed, with or without an error. */
  closed(connection: LoadConnection, error: Error | undefined): void
}

/** One mutual-TLS connection that carries one request at a time, with nothing between it and the socket. */
export class LoadConnection {
  readonly #socket: TLSSocket
  readonly #reader = new AnswerReader()
  readonly #host: string

  constructor({ host, port, ...more }: LoadTarget, events: ConnectionEvents) {
    this.#host = `${host}:${port}`
    let failure: Error | undefined
    // Neither session nor ticket is ever offered: every connection has its full handshake.
    this.#socket = connect({ host, port, ...more })
    this.#socket.setNoDelay(true)
    this.#socket.once('secureConnect', () => events.secured?.(this))
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        const answer = this.#reader.push(chunk)
        if (answer !== undefined) events.answered(this, answer)
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : undefined)
      }
    })
    this.#socket.on('error', (error: Error) => {
      failure = error
    })
    this.#socket.on('close', () => {
      events.closed(this, failure)
    })
  }

  /** Sends a request; before the handshake is done it waits for that. */
  post(body: string): void {
    const head = `POST / HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-type: application/json\r\naccept: */*\r\n`
    this.#socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`, 'latin1')
  }

  /** At once, without a farewell of TLS. */
  destroy(): void {
    this.#socket.destroy()
  }
}
