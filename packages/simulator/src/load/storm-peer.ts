import type { ReadAnswer } from './answer-reader.ts'
import type { JoinExchange, JoinRequests } from './join-requests.ts'
import { RefusedError } from './load-answer.ts'
import { type ConnectionEvents, LoadConnection, type LoadTarget } from './load-connection.ts'
import { WrongAnswerError } from './load-devices.ts'

/** How a network server behaves (seen with ChirpStack v4 and The Things Stack v3). */
export interface PeerManner {
  /** It gives up an answer after so many milliseconds. */
  readonly deadlineMs: number
  /** A join-accept that it has so long after the frame still goes out in time. */
  readonly usefulMs: number
}

export const PEER_MANNERS = {
  /** RX1 opens 5 s after the frame, and it waits no longer. */
  chirpstack: { deadlineMs: 5000, usefulMs: 5000 },
  /** RX2 opens 6 s after the frame; an answer that comes later is accepted and goes nowhere. */
  'the-things-stack': { deadlineMs: 10_000, usefulMs: 6000 },
} as const satisfies Record<string, PeerManner>
export type PeerKind = keyof typeof PEER_MANNERS

export interface StormPeerOptions {
  readonly kind: PeerKind
  readonly target: LoadTarget
  readonly requests: JoinRequests
  /** Requests under way at once. */
  readonly connections: number
  /** Each request has a connection of its own. */
  readonly newConnections: boolean
}

/**
 * What became of a frame:
 * - `joined`: the device has its join-accept in time.
 * - `late`: the join server accepted it, and the device does not hear of it.
 * - `given up`: the network server waited as long as it does.
 * - `unsent`: it was given up before there was a free connection.
 * - `disconnected`: the connection was refused or lost.
 * - `refused`: with a ResultCode.
 * - `wrong`: the answer is not the one that device, network and owner need.
 */
export type StormOutcome =
  | { readonly kind: 'joined' | 'late'; readonly latencyMs: number }
  | { readonly kind: 'given up' | 'unsent' | 'disconnected' }
  | { readonly kind: 'refused'; readonly resultCode: string }
  | { readonly kind: 'wrong'; readonly message: string }

export type OutcomeListener = (device: number, transmittedAt: number, outcome: StormOutcome) => void

interface Transmission {
  readonly device: number
  readonly transmittedAt: number
  readonly exchange: JoinExchange
}

/** A network server that passes on the join-requests of its devices. */
export class StormPeer implements ConnectionEvents {
  readonly #options: StormPeerOptions
  readonly #manner: PeerManner
  readonly #settled: OutcomeListener
  readonly #idle = new Set<LoadConnection>()
  readonly #underWay = new Map<LoadConnection, Transmission>()
  /** In the order in which they came; those before `#first` are gone. */
  #waiting: Transmission[] = []
  #first = 0

  constructor(options: StormPeerOptions, settled: OutcomeListener) {
    this.#options = options
    this.#manner = PEER_MANNERS[options.kind]
    this.#settled = settled
  }

  /** A device's frame has arrived. */
  transmitted(device: number, now: number): void {
    this.#waiting.push({ device, transmittedAt: now, exchange: this.#options.requests.next(device) })
    this.#pump(now)
  }

  /** Gives up whatever waits for too long. */
  giveUp(now: number): void {
    for (const [connection, transmission] of this.#underWay) {
      if (now - transmission.transmittedAt <= this.#manner.deadlineMs) continue
      this.#underWay.delete(connection)
      connection.destroy()
      this.#settle(transmission, { kind: 'given up' })
    }
    this.#pump(now)
  }

  close(): void {
    for (const connection of [...this.#idle, ...this.#underWay.keys()]) connection.destroy()
    this.#underWay.clear()
  }

  answered(connection: LoadConnection, { body }: ReadAnswer): void {
    const transmission = this.#underWay.get(connection)
    if (transmission === undefined) return
    const now = performance.now()
    this.#underWay.delete(connection)
    if (this.#options.newConnections) connection.destroy()
    else this.#idle.add(connection)
    this.#settle(transmission, this.#outcome(transmission, now - transmission.transmittedAt, body))
    this.#pump(now)
  }

  closed(connection: LoadConnection): void {
    this.#idle.delete(connection)
    const transmission = this.#underWay.get(connection)
    if (transmission === undefined) return
    this.#underWay.delete(connection)
    this.#settle(transmission, { kind: 'disconnected' })
    this.#pump(performance.now())
  }

  #pump(now: number): void {
    while (this.#underWay.size < this.#options.connections) {
      const transmission = this.#waiting[this.#first]
      if (transmission === undefined) break
      this.#first += 1
      if (now - transmission.transmittedAt > this.#manner.deadlineMs) this.#settle(transmission, { kind: 'unsent' })
      else this.#send(transmission)
    }
    if (this.#first * 2 < this.#waiting.length) return
    this.#waiting = this.#waiting.slice(this.#first)
    this.#first = 0
  }

  #send(transmission: Transmission): void {
    const [free] = this.#idle
    if (free !== undefined) this.#idle.delete(free)
    const connection = free ?? new LoadConnection(this.#options.target, this)
    this.#underWay.set(connection, transmission)
    connection.post(transmission.exchange.body)
  }

  #outcome({ exchange }: Transmission, latencyMs: number, body: string): StormOutcome {
    // Whoever does not hear an answer cannot look at it: the device is asleep, or has begun anew.
    if (latencyMs > this.#manner.usefulMs) return { kind: 'late', latencyMs }
    try {
      exchange.check(body)
      return { kind: 'joined', latencyMs }
    } catch (error) {
      if (error instanceof RefusedError) return { kind: 'refused', resultCode: error.resultCode }
      if (error instanceof WrongAnswerError) return { kind: 'wrong', message: error.message }
      throw error
    }
  }

  #settle({ device, transmittedAt }: Transmission, outcome: StormOutcome): void {
    this.#settled(device, transmittedAt, outcome)
  }
}
