import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Arrival } from './checks.ts'
import { type FromBridge, Lines } from './lines.ts'

export interface Command {
  readonly devEui: string
  readonly payload: string
}

/** What takes readings, and the network's queue of downlinks; and an application that has its commands carried out. */
export class Receiver implements AsyncDisposable {
  readonly arrivals: Arrival[] = []
  readonly downlinks: { readonly counter: string; readonly frmPayload: string }[] = []
  /** How many commands there are of which the bridge said that the network has the downlink. */
  done = 0
  readonly failures: string[] = []
  life = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #commands = new Map<number, Command>()
  #lines: Lines | undefined
  #next = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async listen(path: string): Promise<Receiver> {
    const server = createServer()
    const receiver = new Receiver(server)
    server.on('connection', (socket) => {
      receiver.#sockets.add(socket)
      socket.on('close', () => receiver.#sockets.delete(socket))
      const { life } = receiver
      const lines = new Lines(socket, (line) => {
        receiver.#received(line as FromBridge, lines, life)
      })
      receiver.#lines = lines
      // As a broker does with what it has no acknowledgement of.
      for (const [command, content] of receiver.#commands) lines.send({ command, ...content })
    })
    server.listen(path)
    await once(server, 'listening')
    return receiver
  }

  get unfinishedCommands(): number {
    return this.#commands.size
  }

  command(content: Command): void {
    const command = this.#next++
    this.#commands.set(command, content)
    this.#lines?.send({ command, ...content })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** What comes over the connection of a bridge that was killed meanwhile, was sent by it. */
  #received(line: FromBridge, lines: Lines, life: number): void {
    if ('done' in line) {
      if (this.#commands.delete(line.done)) this.done++
    } else if ('failed' in line) {
      this.failures.push(line.code)
      this.#commands.delete(line.failed)
    } else {
      if ('downlink' in line) {
        const { devEui, session, fCnt, frmPayload } = line.downlink
        this.downlinks.push({ counter: `${devEui} ${session} ${fCnt}`, frmPayload })
      } else if (line.reading !== undefined) {
        const { devEui, session, fCnt, data } = line.reading
        this.arrivals.push({ name: `${devEui} ${session} ${fCnt}`, text: Buffer.from(data, 'base64').toString(), life })
      }
      // Not in the same moment: a kill is to find some under way.
      setTimeout(() => lines.send({ ack: line.n }), 2)
    }
  }
}
