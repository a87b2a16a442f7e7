import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP connection on its way to a broker, that a test can stall, cut and look into. */
export class Proxy implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  connections = 0

  private constructor(server: Server) {
    this.#server = server
  }

  /** `onFirst` sees the first bytes of a client, and may answer in the broker's place. */
  static async start(target: number, onFirst: (bytes: Buffer) => Buffer | undefined = () => undefined): Promise<Proxy> {
    const server = createServer()
    const proxy = new Proxy(server)
    server.on('connection', (client) => {
      proxy.#join(client, target, onFirst)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (typeof address !== 'object' || address === null) throw new Error('no port')
    return address.port
  }

  /** Lets nothing through any more on the connections there are, without ending them; new ones work. */
  stall(): void {
    for (const socket of this.#sockets) socket.pause().unpipe()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(client: Socket, target: number, onFirst: (bytes: Buffer) => Buffer | undefined): void {
    this.connections += 1
    this.#keep(client)
    client.once('data', (bytes: Buffer) => {
      const answer = onFirst(bytes)
      if (answer !== undefined) {
        client.end(answer)
        return
      }
      const broker = connect(target, '127.0.0.1')
      this.#keep(broker)
      broker.write(bytes)
      client.pipe(broker).pipe(client)
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
