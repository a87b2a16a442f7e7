import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** So that what the server closes is there again soon. */
const AGAIN_MS = 100

/** Connections on which no handshake ever begins, from a few addresses of this machine; each is opened again when closed. */
export class HandshakeFlood implements Disposable {
  readonly #sockets = new Set<Socket>()
  #stopped = false

  constructor(url: string, addresses: readonly string[], connectionsEach: number) {
    const { hostname, port } = new URL(url)
    for (const localAddress of addresses)
      for (let i = 0; i < connectionsEach; i++) void this.#keepOpen(hostname, Number(port), localAddress)
  }

  /** How many the server has not closed. */
  get open(): number {
    return [...this.#sockets].filter(({ connecting }) => !connecting).length
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    for (const socket of this.#sockets) socket.destroy()
  }

  async #keepOpen(host: string, port: number, localAddress: string): Promise<void> {
    while (!this.#stopped) {
      await new Promise<void>((resolve) => {
        const socket = connect({ host, port, localAddress })
        this.#sockets.add(socket)
        // Being refused is what it is for.
        socket.on('error', () => undefined)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          resolve()
        })
      })
      await delay(AGAIN_MS)
    }
  }
}
