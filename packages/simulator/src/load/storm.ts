import { Latencies } from './latencies.ts'
import { joinRequestAirMs, SECOND_WINDOW_MS, silenceMs, SPREADING_FACTORS, type SpreadingFactor } from './radio.ts'
import type { OutcomeListener, StormOutcome, StormPeer } from './storm-peer.ts'

export interface StormOptions {
  readonly devices: number
  /** Every device transmits for the first time at a random moment of so many seconds. */
  readonly spreadSeconds: number
  /** Silences are shorter by this factor; windows and deadlines are not. */
  readonly timeScale: number
  readonly timeoutSeconds: number
}

/** One second of the storm. */
export interface StormSecond {
  readonly transmitted: number
  readonly joined: number
  /** Every other outcome. */
  readonly lost: number
}

/** What one network server's devices came to. */
export interface StormPeerResult {
  readonly devices: number
  readonly transmitted: number
  readonly joined: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** From the first frame of the storm to its last device. */
  readonly lastJoinSeconds: number
}

export interface StormResult {
  readonly devices: number
  readonly joined: number
  readonly transmitted: number
  /** What was wrong with the first answer that was. */
  readonly firstWrong: string | undefined
  readonly lastJoinSeconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Most frames that a device needed. */
  readonly mostTransmissions: number
  /** How often frames ended otherwise than in a join, by outcome or ResultCode. */
  readonly lost: Readonly<Record<string, number>>
  readonly peers: readonly StormPeerResult[]
  readonly seconds: readonly StormSecond[]
}

const TICK_MS = 10
/** So often network servers look for what has waited too long. */
const GIVE_UP_TICKS = 10

/** Makes a network server, which reports to the storm. */
export type PeerMaker = (settled: OutcomeListener) => StormPeer

interface PeerCount {
  devices: number
  transmitted: number
  joined: number
  lastJoinMs: number
  readonly latencies: Latencies
}

/** All devices of a region lost their network at once, and come back at once. */
export class Storm {
  readonly #options: StormOptions
  readonly #peers: readonly StormPeer[]
  /** The network server of each device. */
  readonly #peerOf: Uint8Array
  readonly #spreadingFactor: Uint8Array
  readonly #transmissions: Uint16Array
  /** Devices by the tick at which they transmit. */
  readonly #agenda = new Map<number, number[]>()
  readonly #counts: readonly PeerCount[]
  readonly #latencies = new Latencies()
  readonly #lost = new Map<string, number>()
  readonly #seconds: { transmitted: number; joined: number; lost: number }[] = []
  #startedAt = 0
  #joined = 0
  #firstWrong: string | undefined

  /** `shares`: how many devices each network server has, as parts of all. */
  constructor(options: StormOptions, shares: readonly number[], makers: readonly PeerMaker[]) {
    const { devices } = options
    this.#options = options
    this.#counts = makers.map(() => ({
      devices: 0,
      transmitted: 0,
      joined: 0,
      lastJoinMs: 0,
      latencies: new Latencies(),
    }))
    this.#peers = makers.map((make, peer) =>
      make((device, transmittedAt, outcome) => {
        this.#settled(peer, device, transmittedAt, outcome)
      }),
    )
    this.#peerOf = assign(devices, shares)
    this.#spreadingFactor = Uint8Array.from({ length: devices }, (_, device) => spreadingFactorOf(device))
    this.#transmissions = new Uint16Array(devices)
    for (const peer of this.#peerOf) this.#count(peer).devices += 1
  }

  get joined(): number {
    return this.#joined
  }

  /** Resolves when the last device has joined, or when the time is over. */
  async run(): Promise<StormResult> {
    const { devices, spreadSeconds, timeoutSeconds } = this.#options
    this.#startedAt = performance.now()
    for (let device = 0; device < devices; device++) this.#plan(device, 1000 * spreadSeconds * Math.random())
    for (let tick = 0; this.#joined < devices; tick++) {
      const now = performance.now()
      if (now - this.#startedAt > 1000 * timeoutSeconds) break
      await this.#tick(tick, now)
    }
    for (const peer of this.#peers) peer.close()
    return this.#result()
  }

  async #tick(tick: number, now: number): Promise<void> {
    const due = this.#agenda.get(tick) ?? []
    this.#agenda.delete(tick)
    for (const device of due) this.#transmit(device, now)
    if (tick % GIVE_UP_TICKS === 0) for (const peer of this.#peers) peer.giveUp(now)
    const wait = this.#startedAt + (tick + 1) * TICK_MS - performance.now()
    // Also when it is late: answers must be read in between.
    await new Promise((resolve) => (wait > 0 ? setTimeout(resolve, wait) : setImmediate(resolve)))
  }

  /** `atMs` counts from the beginning. */
  #plan(device: number, atMs: number): void {
    const soonest = Math.floor((performance.now() - this.#startedAt) / TICK_MS) + 1
    const tick = Math.max(soonest, Math.floor(atMs / TICK_MS))
    const due = this.#agenda.get(tick)
    if (due === undefined) this.#agenda.set(tick, [device])
    else due.push(device)
  }

  #transmit(device: number, now: number): void {
    const peer = this.#peerOf[device] ?? 0
    this.#transmissions[device] = (this.#transmissions[device] ?? 0) + 1
    this.#count(peer).transmitted += 1
    this.#second(now).transmitted += 1
    this.#peers[peer]?.transmitted(device, now)
  }

  #settled(peer: number, device: number, transmittedAt: number, outcome: StormOutcome): void {
    const now = performance.now()
    if (outcome.kind === 'joined') {
      this.#joined += 1
      this.#second(now).joined += 1
      this.#latencies.add(outcome.latencyMs)
      const count = this.#count(peer)
      count.joined += 1
      count.lastJoinMs = now - this.#startedAt
      count.latencies.add(outcome.latencyMs)
      return
    }
    if (outcome.kind === 'wrong') this.#firstWrong ??= outcome.message
    const name = outcome.kind === 'refused' ? outcome.resultCode : outcome.kind
    this.#lost.set(name, (this.#lost.get(name) ?? 0) + 1)
    this.#second(now).lost += 1
    this.#plan(device, this.#nextTransmissionMs(device, transmittedAt - this.#startedAt))
  }

  /** After the second window, and a silence that the duty cycle demands, made longer by up to as much again. */
  #nextTransmissionMs(device: number, transmittedMs: number): number {
    const { timeScale } = this.#options
    const airMs = joinRequestAirMs((this.#spreadingFactor[device] ?? 7) as SpreadingFactor)
    const silence = silenceMs(airMs, transmittedMs * timeScale) / timeScale
    return transmittedMs + SECOND_WINDOW_MS + silence * (1 + Math.random())
  }

  #count(peer: number): PeerCount {
    const count = this.#counts[peer]
    if (count === undefined) throw new RangeError('there is no such network server')
    return count
  }

  #second(now: number): { transmitted: number; joined: number; lost: number } {
    const second = Math.floor((now - this.#startedAt) / 1000)
    while (this.#seconds.length <= second) this.#seconds.push({ transmitted: 0, joined: 0, lost: 0 })
    return this.#seconds[second] ?? { transmitted: 0, joined: 0, lost: 0 }
  }

  #result(): StormResult {
    const [p50Ms = 0, p99Ms = 0, maxMs = 0] = this.#latencies.quantiles([0.5, 0.99, 1])
    const sum = (name: 'transmitted' | 'lastJoinMs', add: (a: number, b: number) => number) =>
      this.#counts.reduce((total, count) => add(total, count[name]), 0)
    return {
      devices: this.#options.devices,
      joined: this.#joined,
      transmitted: sum('transmitted', (a, b) => a + b),
      firstWrong: this.#firstWrong,
      lastJoinSeconds: sum('lastJoinMs', Math.max) / 1000,
      ...{ p50Ms, p99Ms, maxMs },
      mostTransmissions: this.#transmissions.reduce((most, count) => Math.max(most, count), 0),
      lost: Object.fromEntries(this.#lost),
      peers: this.#counts.map(({ devices, transmitted, joined, lastJoinMs, latencies }) => {
        const [p50Ms = 0, p99Ms = 0] = latencies.quantiles([0.5, 0.99])
        return { devices, transmitted, joined, p50Ms, p99Ms, lastJoinSeconds: lastJoinMs / 1000 }
      }),
      seconds: this.#seconds,
    }
  }
}

/** Near the gateways or far from them: as many devices of each spreading factor. */
function spreadingFactorOf(device: number): number {
  return SPREADING_FACTORS[device % SPREADING_FACTORS.length] ?? 7
}

/** Which network server each device has: in turn, as often as their shares say. */
function assign(devices: number, shares: readonly number[]): Uint8Array {
  const all = shares.reduce((sum, share) => sum + share, 0)
  const debts = shares.map(() => 0)
  return Uint8Array.from({ length: devices }, () => {
    shares.forEach((share, peer) => {
      debts[peer] = (debts[peer] ?? 0) + share / all
    })
    const peer = debts.indexOf(Math.max(...debts))
    debts[peer] = (debts[peer] ?? 0) - 1
    return peer
  })
}
