import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** One JSON object a line, in both directions. */
export class Lines {
  readonly #socket: Socket

  constructor(socket: Socket, received: (line: object) => void) {
    this.#socket = socket
    // The other side dies at any moment, also in the middle of a line.
    socket.on('error', () => undefined)
    createInterface({ input: socket, crlfDelay: Infinity })
      .on('line', (text) => {
        received(JSON.parse(text) as object)
      })
      .on('error', () => undefined)
  }

  send(line: object): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(line)}\n`)
  }
}

/** From the network to the bridge, and the acknowledgement back. */
export interface EventLine {
  readonly n: number
  readonly topic: string
  readonly body: string
}

export interface AckLine {
  readonly ack: number
}

/** From the receiver to the bridge. */
export type ToBridge = AckLine | { readonly command: number; readonly devEui: string; readonly payload: string }

/** From the bridge to the receiver. */
export type FromBridge =
  | { readonly n: number; readonly reading?: ReadingLine | undefined }
  | { readonly n: number; readonly downlink: DownlinkLine }
  | { readonly done: number }
  | { readonly failed: number; readonly code: string }

export interface ReadingLine {
  readonly devEui: string
  readonly session: string
  readonly fCnt: number
  readonly data: string
}

export interface DownlinkLine {
  readonly devEui: string
  readonly session: string
  readonly fCnt: number
  readonly frmPayload: string
}
