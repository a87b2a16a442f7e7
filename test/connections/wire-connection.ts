import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from 'node:tls'

export interface WireTarget {
  readonly host: string
  readonly port: number
  /** An address of this machine to come from. */
  readonly localAddress: string
  readonly ca: string
  readonly secureContext: SecureContext
}

export interface WireAnswer {
  readonly status: number
  readonly body: string
}

/** One connection of a peer, with as little around it as a process that holds thousands can do with. */
export class WireConnection {
  readonly #socket: TLSSocket
  #received = ''
  #answered: ((answer: WireAnswer | undefined) => void) | undefined
  closed = false

  private constructor(options: ConnectionOptions) {
    this.#socket = connect(options)
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1')
      this.#read()
    })
    // Cut off is what some of these are meant to be.
    this.#socket.on('error', () => undefined)
    this.#socket.on('close', () => {
      this.closed = true
      this.#answer(undefined)
    })
  }

  /** Resolves after the handshake; undefined when it was refused. */
  static open({ secureContext, host, port, localAddress }: WireTarget): Promise<WireConnection | undefined> {
    // The name in the certificate is not what is tested here.
    const options = { host, port, localAddress, secureContext, checkServerIdentity: () => undefined }
    return new Promise((resolve) => {
      const connection = new WireConnection(options)
      connection.#socket.once('secureConnect', () => {
        resolve(connection)
      })
      connection.#socket.once('close', () => {
        resolve(undefined)
      })
    })
  }

  /** One POST; undefined when the connection ended instead of an answer. */
  post(body: string): Promise<WireAnswer | undefined> {
    if (this.closed) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#answered = resolve
      this.#socket.write(`POST / HTTP/1.1\r\nHost: js\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #read(): void {
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd === -1) return
    const head = this.#received.slice(0, headEnd)
    const length = Number(/^Content-Length: (\d+)$/im.exec(head)?.[1])
    const body = this.#received.slice(headEnd + 4)
    if (body.length < length) return
    this.#received = ''
    this.#answer({ status: Number(head.slice(9, 12)), body })
  }

  #answer(answer: WireAnswer | undefined): void {
    this.#answered?.(answer)
    this.#answered = undefined
  }
}
