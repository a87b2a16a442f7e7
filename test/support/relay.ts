import { renameSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** Takes the place of a Unix socket, passes everything on to the real one, and keeps all that crosses. */
export class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What one side of one connection has sent. */
  readonly #streams: Buffer[][] = []

  private constructor(real: string) {
    this.#server = createServer((client) => {
      this.#join(client, createConnection(real))
    })
  }

  /** @param path where somebody listens now */
  static async before(path: string): Promise<Relay> {
    const real = `${path}.real`
    renameSync(path, real)
    const relay = new Relay(real)
    await new Promise<void>((resolve) => relay.#server.listen(path, resolve))
    return relay
  }

  /** All that has crossed, one text for each direction of each connection. */
  get streams(): Buffer[] {
    return this.#streams.map((chunks) => Buffer.concat(chunks))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: Socket, real: Socket): void {
    for (const [from, to] of [
      [client, real],
      [real, client],
    ] as const) {
      const stream: Buffer[] = []
      this.#streams.push(stream)
      this.#sockets.add(from)
      from.on('data', (chunk: Buffer) => {
        stream.push(chunk)
        to.write(chunk)
      })
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroySoon()
      })
    }
  }
}
