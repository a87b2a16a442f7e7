import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { ReceivedEvent } from '../../src/network-event.ts'
import { type AckLine, Lines } from './lines.ts'

/**
 * A network's broker: it sends an event to whoever is connected, again after each connection until it is acknowledged,
 * and has a bounded number of them unacknowledged.
 */
export class Network implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #window: number
  readonly #waiting: ReceivedEvent[] = []
  readonly #unacknowledged = new Map<number, ReceivedEvent>()
  #lines: Lines | undefined
  #next = 0
  acknowledged = 0
  sentAgain = 0

  private constructor(server: Server, window: number) {
    this.#server = server
    this.#window = window
  }

  static async listen(path: string, window: number): Promise<Network> {
    const server = createServer()
    const network = new Network(server, window)
    server.on('connection', (socket) => {
      network.#sockets.add(socket)
      socket.on('close', () => network.#sockets.delete(socket))
      const lines = new Lines(socket, (line) => {
        network.#taken(line as AckLine)
      })
      network.#connected(lines)
      socket.on('close', () => {
        if (network.#lines === lines) network.#lines = undefined
      })
    })
    server.listen(path)
    await once(server, 'listening')
    return network
  }

  get unfinished(): number {
    return this.#waiting.length + this.#unacknowledged.size
  }

  get connected(): boolean {
    return this.#lines !== undefined
  }

  publish(event: ReceivedEvent): void {
    this.#waiting.push(event)
    this.#pump()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #connected(lines: Lines): void {
    this.#lines = lines
    for (const [n, event] of this.#unacknowledged) {
      this.sentAgain++
      this.#send(n, event)
    }
    this.#pump()
  }

  #taken({ ack }: AckLine): void {
    if (this.#unacknowledged.delete(ack)) this.acknowledged++
    this.#pump()
  }

  #pump(): void {
    while (this.#lines !== undefined && this.#unacknowledged.size < this.#window) {
      const event = this.#waiting.shift()
      if (event === undefined) return
      const n = this.#next++
      this.#unacknowledged.set(n, event)
      this.#send(n, event)
    }
  }

  #send(n: number, { topic, body }: ReceivedEvent): void {
    this.#lines?.send({ n, topic, body: Buffer.from(body).toString('base64') })
  }
}
