import type { ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { DropArgument, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { FairShare } from '../fair-share.ts'
import type { ConnectionLimits } from './limits.ts'
import { networkOf } from './network-of.ts'

/**
 * Why a connection was not taken, or was closed before its time:
 * - `handshakes`: too many under way, from its network or at all.
 * - `connections`: too many are open, and all of them wait for us.
 * - `strangers`: too many that are no peer's.
 * - `room`: closed to make room for others, because it waited for its peer.
 */
export type ConnectionRefusal = 'handshakes' | 'connections' | 'strangers' | 'room'

export interface ConnectionsOptions {
  readonly limits: ConnectionLimits
  readonly refused: (reason: ConnectionRefusal) => void
  /**
   * Those whose handshake says that they are nobody known, until a request says otherwise; absent where that cannot be
   * told.
   */
  readonly strangers?: { readonly limit: number; readonly include: (socket: TLSSocket) => boolean }
}

interface Handshake {
  readonly socket: Socket
  /** Whose share it counts to. */
  readonly network: string
}

/** An open connection after its handshake. */
interface Connection {
  readonly socket: TLSSocket
  readonly answered: () => void
  requests: number
  inFlight: number
  /** When a request came or an answer went out last; milliseconds of performance.now(). */
  since: number
  /** The one of the sets below that it is in: they are in order of `since`. */
  queue: Set<Connection>
}

const SWEEP_MS = 1000

/** Idle connections make room while fewer than so many more could be opened; of few connections, a sixteenth. */
const ROOM = 256

/** A first request may be on its way when a server stops. */
const FIRST_REQUEST_GRACE_MS = 1000

/**
 * The connections of one listener: how many, in which state, and for how long. Each state has its limit of time, so that
 * none outlives a peer that vanished without a word. Constant time for a connection and for a request.
 */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #options: ConnectionsOptions
  readonly #shares: FairShare
  readonly #crowdedFrom: number
  readonly #handshakes = new Map<string, Handshake>()
  readonly #open = new Map<Socket, Connection>()
  readonly #strangers = new Set<Connection>()
  readonly #first = new Set<Connection>()
  readonly #reused = new Set<Connection>()
  readonly #receiving = new Set<Connection>()
  readonly #busy = new Set<Connection>()
  #draining = false

  constructor(server: Server, options: ConnectionsOptions) {
    this.#options = options
    this.#limits = options.limits
    const { connections } = options.limits
    this.#crowdedFrom = connections - Math.min(ROOM, connections / 16)
    this.#shares = new FairShare(options.limits.handshakes, 2 * options.limits.handshakes)
    const sweep = setInterval(() => {
      this.#sweep()
    }, SWEEP_MS).unref()
    server.maxConnections = connections
    // With allowHalfOpen of each socket: a peer that says that it will send no more still gets its answer.
    Object.assign(server, { httpAllowHalfOpen: true })
    server.on('connection', (socket: Socket) => this.#accepted(socket))
    server.on('secureConnection', (socket) => this.#secured(socket))
    server.on('drop', (dropped?: DropArgument) => this.#dropped(dropped))
    server.on('close', () => clearInterval(sweep))
  }

  /** How many are open, in whatever state. */
  get size(): number {
    return this.#handshakes.size + this.#open.size
  }

  /** Whether answers are the last of their connections. */
  get isDraining(): boolean {
    return this.#draining
  }

  /**
   * A request has begun, which `response` is the answer to. A connection is a stranger's no more once a request on it was
   * a peer's. Tells whether the connection was used before.
   */
  began(socket: Socket, response: ServerResponse, isPeer = false): boolean {
    const connection = this.#open.get(socket)
    if (connection === undefined) return false
    if (isPeer && connection.queue === this.#strangers) this.#admit(connection)
    connection.requests += 1
    connection.inFlight += 1
    if (connection.inFlight === 1) this.#move(connection, this.#receiving)
    response.on('close', connection.answered)
    return connection.requests > 1
  }

  /** A request is complete: its connection waits for us, and no longer for the peer. */
  received(socket: Socket): void {
    const connection = this.#open.get(socket)
    if (connection !== undefined) this.#move(connection, this.#busy)
  }

  /** Ends what waits for nothing, and from now on each connection with its answer. */
  drain(): void {
    this.#draining = true
    for (const { socket } of this.#handshakes.values()) socket.destroy()
    for (const connection of this.#open.values())
      if (connection.inFlight === 0 && connection.requests > 0) connection.socket.destroy()
    setTimeout(() => {
      for (const connection of this.#open.values()) if (connection.inFlight === 0) connection.socket.destroy()
    }, FIRST_REQUEST_GRACE_MS).unref()
  }

  /** Ends all. */
  destroy(): void {
    for (const { socket } of this.#handshakes.values()) socket.destroy()
    for (const { socket } of this.#open.values()) socket.destroy()
  }

  #accepted(socket: Socket): void {
    // It is gone already.
    if (socket.remoteAddress === undefined) return
    const network = networkOf(socket.remoteAddress)
    if (this.#draining || this.#shares.enter(network) !== undefined) {
      if (!this.#draining) this.#options.refused('handshakes')
      socket.destroy()
      return
    }
    // Only for one that is taken: whoever is refused must not cost others their connections.
    if (this.#isCrowded) this.#makeRoom()
    const key = keyOf(socket)
    this.#handshakes.set(key, { socket, network })
    socket.on('close', () => this.#handshakeEnded(key))
  }

  /** All are open, so that Node did not take this one. There is room for its next attempt, if it has a share left. */
  #dropped(dropped: DropArgument | undefined): void {
    this.#options.refused('connections')
    const network = networkOf(dropped?.remoteAddress ?? '')
    if (this.#shares.enter(network) !== undefined) return
    this.#shares.leave(network)
    this.#makeRoom()
  }

  #handshakeEnded(key: string): void {
    const handshake = this.#handshakes.get(key)
    if (handshake === undefined) return
    this.#handshakes.delete(key)
    this.#shares.leave(handshake.network)
  }

  #secured(socket: TLSSocket): void {
    this.#handshakeEnded(keyOf(socket))
    // Not before: a client that goes away during its handshake gets no answer.
    socket.allowHalfOpen = true
    const { strangers } = this.#options
    const isStranger = strangers?.include(socket) === true
    const connection: Connection = {
      socket,
      answered: () => this.#answered(connection),
      requests: 0,
      inFlight: 0,
      since: performance.now(),
      queue: isStranger ? this.#strangers : this.#first,
    }
    this.#open.set(socket, connection)
    connection.queue.add(connection)
    socket.on('close', () => {
      this.#open.delete(socket)
      connection.queue.delete(connection)
    })
    if (isStranger && this.#strangers.size > strangers.limit) this.#closeOldest(this.#strangers, 'strangers')
  }

  #answered(connection: Connection): void {
    connection.inFlight -= 1
    if (!this.#open.has(connection.socket)) return
    if (this.#draining && connection.inFlight === 0) {
      connection.socket.destroySoon()
      return
    }
    const idle = connection.requests > 1 ? this.#reused : this.#first
    this.#move(connection, connection.inFlight > 0 ? this.#busy : idle)
    if (this.#isCrowded) this.#makeRoom()
  }

  #admit(connection: Connection): void {
    this.#strangers.delete(connection)
    connection.queue = this.#first
    this.#move(connection, this.#first)
  }

  get #isCrowded(): boolean {
    return this.size >= this.#crowdedFrom
  }

  #move(connection: Connection, queue: Set<Connection>): void {
    if (connection.queue === this.#strangers) return
    connection.queue.delete(connection)
    connection.since = performance.now()
    connection.queue = queue
    queue.add(connection)
  }

  /** Those go first that are least likely to be used again; those whose peer does not come to an end, if none is idle. */
  #makeRoom(): void {
    for (const queue of [this.#strangers, this.#first, this.#reused, this.#receiving]) {
      if (queue.size > 0) {
        this.#closeOldest(queue, 'room')
        return
      }
    }
  }

  #closeOldest(queue: ReadonlySet<Connection>, reason: ConnectionRefusal): void {
    const [oldest] = queue
    if (oldest === undefined) return
    this.#options.refused(reason)
    end(oldest)
  }

  #sweep(): void {
    const { firstIdleMs, reusedIdleMs, answerTimeoutMs } = this.#limits
    closeExpired(this.#strangers, firstIdleMs)
    closeExpired(this.#first, firstIdleMs)
    closeExpired(this.#reused, reusedIdleMs)
    closeExpired(this.#receiving, answerTimeoutMs)
    closeExpired(this.#busy, answerTimeoutMs)
  }
}

function closeExpired(queue: ReadonlySet<Connection>, limitMs: number): void {
  const oldest = performance.now() - limitMs
  for (const connection of queue) {
    if (connection.since > oldest) return
    end(connection)
  }
}

/** It leaves its queue at once, because its socket is closed a little later. */
function end(connection: Connection): void {
  connection.queue.delete(connection)
  connection.socket.destroy()
}

/** Names a connection on either side of its handshake, of which Node makes two sockets. */
function keyOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
