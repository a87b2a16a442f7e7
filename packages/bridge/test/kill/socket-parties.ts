import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { parseDevEui } from '@mortise/lorawan'
import type { DownlinkCommand, Message, Sink } from '../../src/sink.ts'
import type { DownlinkPath, SealedDownlink, Source, TakeEvent } from '../../src/source.ts'
import { SHAPE } from '../pipeline/world.ts'
import { BridgeError } from '../../src/errors.ts'
import { type AckLine, type EventLine, type FromBridge, Lines, type ToBridge } from './lines.ts'

/** A source, a sink and a path over sockets to the process of the test, which outlives the bridge. */

async function open(path: string): Promise<Socket> {
  const socket = connect(path)
  await once(socket, 'connect')
  return socket
}

export class SocketSource implements Source {
  readonly shape = SHAPE
  readonly problem = undefined
  readonly #path: string
  #socket: Socket | undefined

  constructor(path: string) {
    this.#path = path
  }

  async start(take: TakeEvent): Promise<void> {
    this.#socket = await open(this.#path)
    const lines = new Lines(this.#socket, (line) => {
      const { n, topic, body } = line as EventLine
      take({ topic, body: Buffer.from(body, 'base64') }).then(
        () => {
          lines.send({ ack: n } satisfies AckLine)
        },
        () => undefined,
      )
    })
  }

  stop(): Promise<void> {
    this.#socket?.pause()
    return Promise.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    this.#socket?.destroy()
  }
}

/** Readings and downlinks go over one socket, and commands come over it. */
export class SocketSink implements Sink, DownlinkPath {
  readonly name = 'socket'
  readonly problem = undefined
  readonly #path: string
  readonly #unanswered = new Map<number, () => void>()
  #socket: Socket | undefined
  #lines: Lines | undefined
  #next = 0

  constructor(path: string) {
    this.#path = path
  }

  async start(command: (command: DownlinkCommand) => Promise<void>): Promise<void> {
    this.#socket = await open(this.#path)
    this.#lines = new Lines(this.#socket, (line) => {
      this.#received(line as ToBridge, command)
    })
  }

  async deliver({ reading }: Message): Promise<void> {
    await this.#send((n) => ({ n, reading }))
  }

  nextFCntDown(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  async send({ devEui, session, fCnt, frmPayload }: SealedDownlink): Promise<void> {
    const downlink = { devEui, session, fCnt, frmPayload: Buffer.from(frmPayload).toString('hex') }
    await this.#send((n) => ({ n, downlink }))
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy()
    return Promise.resolve()
  }

  #send(make: (n: number) => FromBridge): Promise<void> {
    const n = this.#next++
    return new Promise((resolve) => {
      this.#unanswered.set(n, resolve)
      this.#lines?.send(make(n))
    })
  }

  #received(line: ToBridge, command: (command: DownlinkCommand) => Promise<void>): void {
    if ('ack' in line) {
      this.#unanswered.get(line.ack)?.()
      this.#unanswered.delete(line.ack)
      return
    }
    const { command: number, devEui, payload } = line
    const reply = (answer: FromBridge): void => this.#lines?.send(answer)
    command({ devEui: parseDevEui(devEui), fPort: 2, confirmed: false, payload: Buffer.from(payload, 'hex') }).then(
      () => {
        reply({ done: number })
      },
      (error: unknown) => {
        reply({ failed: number, code: error instanceof BridgeError ? error.code : 'internal_error' })
      },
    )
  }
}
