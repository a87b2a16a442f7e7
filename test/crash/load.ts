import { setTimeout as delay } from 'node:timers/promises'
import type { NetId } from '@mortise/lorawan'
import { SESSIONS_KEPT } from '../../packages/server/src/storage/index.ts'
import type { Ask } from './ask.ts'
import type { FleetDevice } from './fleet.ts'
import { changed, type JoinRequest, newJoinRequest } from './join-request.ts'
import type { Random } from './random.ts'

/** Requests in flight at any time; some of them are sent twice. */
const LANES = 16
/** So that requests of one device meet: some devices join all the time. */
const HOT_DEVICES = 6
const HOT = 0.25
const RETRY_MS = 50
const DECIDED_WITHIN_MS = 30_000

/** What the lanes do, and how often. */
const ACTIONS = { join: 50, twice: 12, twin: 6, hasty: 6, last: 8, old: 6, changed: 5, appSKey: 7 } as const
type Action = keyof typeof ACTIONS

export interface LoadOptions {
  readonly fleet: readonly FleetDevice[]
  readonly networks: readonly NetId[]
  readonly ask: Pick<Ask, 'join' | 'appSKey' | 'model'>
  readonly random: Random
  /** How long a request is made again that gets no decision; half a minute unless told otherwise. */
  readonly decidedWithinMs?: number
}

/** Devices that join, and network servers that repeat, mix up and forget, for as long as they are let. */
export class Load {
  readonly #options: LoadOptions
  readonly #due: FleetDevice[] = []
  #running = false
  #lanes: Promise<void>[] = []

  constructor(options: LoadOptions) {
    this.#options = options
  }

  start(): void {
    this.#running = true
    this.#lanes = Array.from({ length: LANES }, () => this.#lane())
  }

  /** Resolves when nothing is in flight. */
  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#lanes)
  }

  /** Rejects when a lane fails by itself, which a harness must not hide; never resolves. */
  get failed(): Promise<never> {
    return Promise.race(this.#lanes.map((lane) => lane.then(() => new Promise<never>(() => undefined))))
  }

  /** Has the lanes {@link verify} these devices, with one session each, before they do anything else. */
  verifySoon(devices: readonly FleetDevice[]): void {
    this.#due.push(...devices)
  }

  /** Sends the undecided requests of the devices again until there is a decision; what has none is the model's to report. */
  async settle(devices: readonly FleetDevice[]): Promise<void> {
    await inLanes(devices, async (device) => {
      const undecided = new Set(device.keySet.undecided.map(({ digest }) => digest))
      for (const request of device.history.filter(({ digest }) => undecided.has(digest)))
        await this.#untilDecided(device, request)
    })
  }

  /**
   * The last join of each device once more, and the AppSKeys of its sessions: nothing acknowledged may be gone. To the
   * model all of them are decided, so that one that is not answered any more has to be reported here.
   */
  async verify(devices: readonly FleetDevice[], sessionsEach: number): Promise<void> {
    const { ask } = this.#options
    await inLanes(devices, async (device) => {
      const last = device.lastAccepted
      if (last !== undefined && !(await this.#untilDecided(device, last)))
        ask.model.report('never_answered_again', `${device.keySet.name} DevNonce ${last.devNonce}`)
      for (const session of device.keySet.keptSessions(SESSIONS_KEPT).slice(0, sessionsEach))
        if (!(await this.#until(() => ask.appSKey(device, session))))
          ask.model.report('never_answered_again', `${device.keySet.name} AppSKey of JoinNonce ${session.joinNonce}`)
    })
  }

  async #lane(): Promise<void> {
    const { fleet, random } = this.#options
    while (this.#running) {
      const due = this.#due.shift()
      if (due !== undefined) await this.verify([due], 1)
      const device = random.pick(random.chance(HOT) ? fleet.slice(0, HOT_DEVICES) : fleet)
      if (device !== undefined) await this.#act(random.weighted(ACTIONS), device)
    }
  }

  async #act(action: Action, device: FleetDevice): Promise<void> {
    const { networks, random, ask } = this.#options
    const next = (): Promise<JoinRequest> => newJoinRequest(device, networks, random)
    switch (action) {
      case 'join':
        return this.#send(device, [await next()])
      case 'twice': {
        const request = await next()
        return this.#send(device, [request, request])
      }
      case 'twin': {
        const request = await next()
        return this.#send(device, [request, changed(request, networks, random)])
      }
      case 'hasty':
        return this.#send(device, [await next(), await next()])
      case 'last':
        return this.#send(device, [device.lastAccepted ?? (await next())])
      case 'old':
        return this.#send(device, [random.pick(device.history) ?? (await next())])
      case 'changed':
        return this.#send(device, [changed(random.pick(device.history) ?? (await next()), networks, random)])
      case 'appSKey': {
        const session = random.pick(device.keySet.keptSessions(SESSIONS_KEPT))
        if (session !== undefined) await ask.appSKey(device, session)
      }
    }
  }

  /** Sends at once; what got no decision is mostly asked for again, as network servers do, and sometimes left open. */
  async #send(device: FleetDevice, requests: readonly JoinRequest[]): Promise<void> {
    const { ask, random } = this.#options
    for (const request of requests) if (!device.history.includes(request)) device.remember(request)
    const decisions = await Promise.all(requests.map((request) => ask.join(device, request)))
    for (const [index, request] of requests.entries())
      if (decisions[index] === 'undecided' && random.chance(0.8)) await ask.join(device, request)
  }

  #untilDecided(device: FleetDevice, request: JoinRequest): Promise<boolean> {
    return this.#until(async () => (await this.#options.ask.join(device, request)) !== 'undecided')
  }

  /** Tries again for a while. False when it gave up. */
  async #until(done: () => Promise<boolean>): Promise<boolean> {
    const { decidedWithinMs = DECIDED_WITHIN_MS } = this.#options
    const deadline = performance.now() + decidedWithinMs
    while (!(await done())) {
      if (performance.now() > deadline) return false
      await delay(RETRY_MS)
    }
    return true
  }
}

/** Does the work for all devices, as many of them at a time as there are lanes. */
async function inLanes(devices: readonly FleetDevice[], work: (device: FleetDevice) => Promise<void>): Promise<void> {
  const left = [...devices]
  const lane = async (): Promise<void> => {
    for (let device = left.shift(); device !== undefined; device = left.shift()) await work(device)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}
