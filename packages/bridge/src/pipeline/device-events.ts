import { ApplicationServerError, type DeviceSessions, type SessionEvent } from '@mortise/application-server'
import type { DevEui } from '@mortise/lorawan'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { JoinOfNetwork, UplinkOfNetwork } from '../network-event.ts'
import type { RememberedEvent } from './event-memory.ts'
import { type Opening, openUplink } from './open-uplink.ts'
import { groupOf, PutOff, type PutOffGroup } from './put-off.ts'
import type { UntilItWorks } from './until-it-works.ts'
import type { WaitingEvents } from './waiting-events.ts'

export interface DeviceEventsOptions {
  readonly waiting: WaitingEvents
  readonly sessions: DeviceSessions
  readonly metrics: Metrics
  readonly log: Log
  /** Takes an event that sinks may have now. */
  readonly opened: (event: RememberedEvent) => void
  /** Up to this number events waited when the process began. */
  readonly lastAtStart: number
  /** How long an uplink waits for its key, milliseconds. */
  readonly retentionMs: number
  /** How long it is not tried again. */
  readonly putOffMs: number
  readonly now: () => number
}

type Unopened = Exclude<Opening, { kind: 'opened' }>
type Uplink = RememberedEvent & { readonly network: UplinkOfNetwork }

/** Opens the events of devices. Its caller lets the events of one device follow one another. */
export class DeviceEvents {
  readonly #options: DeviceEventsOptions
  readonly #disk: UntilItWorks
  readonly #putOff = new PutOff()

  constructor(options: DeviceEventsOptions, disk: UntilItWorks) {
    this.#options = options
    this.#disk = disk
  }

  /** How many uplinks wait for a session or a key. */
  get putOff(): number {
    return this.#putOff.size
  }

  /** Devices whose uplinks are to be tried again. */
  due(): DevEui[] {
    const nowMs = this.#options.now()
    return this.#putOff.due(nowMs, nowMs + this.#options.putOffMs)
  }

  async open(event: RememberedEvent): Promise<void> {
    if (isUplink(event)) await this.#openNew(event)
    else if (event.network.kind === 'join') await this.#openJoin(event, event.network)
  }

  /** Tries what was put off, of each group up to the first that cannot be opened still. */
  async retry(devEui: DevEui): Promise<void> {
    for (const group of this.#putOff.ofDevice(devEui)) await this.#retryGroup(group)
  }

  async #openJoin(event: RememberedEvent, { devEui, session }: JoinOfNetwork): Promise<void> {
    await this.#announce(session)
    await this.retry(devEui)
    this.#options.opened(event)
  }

  /** That an event tells nothing useful of a session does not keep it from being passed on. */
  async #announce(session: SessionEvent): Promise<void> {
    const { sessions, metrics, log } = this.#options
    try {
      await this.#disk.run(() => sessions.joined(session))
    } catch (error) {
      if (!(error instanceof ApplicationServerError)) throw error
      metrics.count('joinFailed', { reason: error.code })
      log.warn('an event told of no usable session', { devEui: session.devEui, reason: error.code })
    }
  }

  async #openNew(event: Uplink): Promise<void> {
    const { uplink, devEui } = event.network
    const group = groupOf(uplink)
    // It tells nothing new, and those before it come first.
    if (this.#putOff.has(group)) {
      this.#putOff.add(group, devEui, event.seq, 0)
      return
    }
    if (this.#putOff.ofDevice(devEui).length > 0) {
      await this.#announce(uplink)
      await this.retry(devEui)
    }
    const opening = await this.#disk.run(() => openUplink(this.#options.sessions, uplink))
    if (opening.kind === 'put_off') this.#wait(event, group, opening)
    else this.#conclude(event, opening, event.seq <= this.#options.lastAtStart)
  }

  async #retryGroup(group: PutOffGroup): Promise<void> {
    const { waiting, sessions } = this.#options
    for (let seq = group.waiting.first; seq !== undefined; seq = group.waiting.first) {
      const next = seq
      const event = await this.#disk.run(() => waiting.load(next))
      if (event !== undefined && isUplink(event)) {
        const opening = await this.#disk.run(() => openUplink(sessions, event.network.uplink))
        if (opening.kind !== 'put_off') this.#conclude(event, opening, true)
        else if (!this.#isTooOld(event)) return
        else this.#drop(event, opening)
      }
      this.#putOff.shift(group)
    }
  }

  /**
   * `mayBeFirst`: a repeated uplink may have been accepted by a process that died before it passed it on, or may come too
   * late to tell because it was put off. Any other is a copy.
   */
  #conclude(event: Uplink, opening: Exclude<Opening, { kind: 'put_off' }>, mayBeFirst: boolean): void {
    const { metrics, waiting, opened } = this.#options
    if (opening.kind === 'impossible') this.#drop(event, opening)
    else if (opening.first || mayBeFirst) {
      metrics.count('readings')
      event.reading = opening.reading
      opened(event)
    } else {
      metrics.count('copies')
      waiting.drop(event.seq)
    }
  }

  #wait({ seq, network: { devEui } }: Uplink, group: string, { reason, says }: Unopened): void {
    const { metrics, log, now, putOffMs } = this.#options
    metrics.count('putOff', { reason })
    log.warn('an uplink was put off', { devEui, reason, says })
    this.#putOff.add(group, devEui, seq, now() + putOffMs)
  }

  #drop({ seq, network: { devEui } }: Uplink, { reason, says }: Unopened): void {
    const { metrics, log, waiting } = this.#options
    metrics.count('dropped', { reason })
    log.warn('an uplink was dropped', { devEui, reason, says })
    waiting.drop(seq)
  }

  #isTooOld({ receivedAtMs }: Uplink): boolean {
    return receivedAtMs + this.#options.retentionMs <= this.#options.now()
  }
}

function isUplink(event: RememberedEvent): event is Uplink {
  return event.network.kind === 'uplink'
}
