import type { DeviceSessions, PayloadCodecs } from '@mortise/application-server'
import { setTimeout as delay } from 'node:timers/promises'
import type { CodecChoice } from './config.ts'
import { BridgeError } from './errors.ts'
import { ProblemWatch } from './problem-watch.ts'
import { quoted } from './topic.ts'
import { type Log, SILENT } from './log.ts'
import { Metrics } from './metrics.ts'
import type { NetworkEvent, ReceivedEvent } from './network-event.ts'
import { CodecChoices, Downlinks, MessageMaker, Opener, SinkWorker, WaitingEvents } from './pipeline/index.ts'
import type { DeviceNote, EventQueue } from './queue/index.ts'
import type { DownlinkCommand, Sink } from './sink.ts'
import type { DownlinkPath, Source } from './source.ts'

export interface BridgeOptions {
  /** Names the network in readings. */
  readonly name: string
  /** One or more ways by which the events of one network come: all of one shape. */
  readonly sources: readonly [Source, ...Source[]]
  /** Whether uplinks that the network tells in clear are passed on. */
  readonly passClear?: boolean | undefined
  /** The same, in the same order, as those that the queue was opened for. */
  readonly sinks: readonly Sink[]
  readonly downlinkPath?: DownlinkPath | undefined
  readonly sessions: DeviceSessions
  readonly queue: EventQueue
  readonly codecs: PayloadCodecs
  readonly codecChoices?: readonly CodecChoice[]
  readonly log?: Log
  readonly metrics?: Metrics
  readonly timing?: Partial<BridgeTiming>
  /** Milliseconds of Unix time. */
  readonly now?: () => number
}

export interface BridgeTiming {
  /** How many messages may be under way to a sink at once. */
  readonly sinkWindow: number
  /** How long an uplink waits for its session or its key before it is dropped. */
  readonly retentionMs: number
  /** How long it is not tried again. */
  readonly putOffMs: number
  /** How long a stop waits for what is in flight. */
  readonly stopMs: number
  /** How often it is looked whether a problem began or ended. */
  readonly lookMs: number
}

export const DEFAULT_BRIDGE_TIMING: BridgeTiming = {
  sinkWindow: 64,
  retentionMs: 7 * 24 * 3_600_000,
  putOffMs: 60_000,
  stopMs: 10_000,
  lookMs: 1000,
}

const MAX_PROFILE_LENGTH = 256

/** So many events in a row that are none: the bridge is told of another network, or of another encoding. */
const MALFORMED_IN_A_ROW = 10

/**
 * Takes the encrypted events of a network over, opens them, and passes readings on to every sink; and downlinks back. At
 * least once: what was acknowledged to the network is delivered to every sink, whenever the process dies.
 *
 * Sources, sinks, path, queue and codecs are its caller's to dispose, after {@link Bridge.stop}.
 */
export class Bridge {
  readonly metrics: Metrics
  readonly #options: BridgeOptions
  readonly #timing: BridgeTiming
  readonly #log: Log
  readonly #waiting: WaitingEvents
  readonly #opener: Opener
  readonly #workers: readonly SinkWorker[]
  readonly #downlinks: Downlinks
  readonly #watch: ProblemWatch
  #malformed = 0
  #stopping: Promise<void> | undefined

  constructor(options: BridgeOptions) {
    const { name, sources, sinks, downlinkPath, sessions, queue, codecs, codecChoices = [], now = Date.now } = options
    const { log = SILENT, metrics = new Metrics() } = options
    const timing = { ...DEFAULT_BRIDGE_TIMING, ...options.timing }
    const [{ shape }] = sources
    const choices = new CodecChoices(codecChoices)
    const messages = new MessageMaker({ source: name, shape, codecs, choices, metrics, log, now })
    const waiting = new WaitingEvents({ queue, shape, sessions, messages, metrics, log, now })
    this.#options = options
    this.#timing = timing
    this.#log = log
    this.metrics = metrics
    this.#waiting = waiting
    this.#workers = workersOf(sinks, queue).map(
      (one) => new SinkWorker({ ...one, ...timing, waiting, metrics, log, now }),
    )
    this.#opener = new Opener({
      waiting,
      sessions,
      metrics,
      log,
      now,
      ...timing,
      lastAtStart: queue.waitingAtStart.at(-1) ?? 0,
      opened: ({ seq, delivered }) => {
        for (const worker of this.#workers) if (worker.wants(delivered)) worker.enqueue(seq)
      },
    })
    const addressOf = queue.addressOf.bind(queue)
    this.#downlinks = new Downlinks({ path: downlinkPath, sessions, addressOf, codecs, choices, metrics, log })
    this.#watch = new ProblemWatch(() => this.problems(), log)
    this.#showGauges()
  }

  /** Begins with what waits. Rejects where a source or a sink can never work. */
  async start(): Promise<void> {
    const { sources, sinks, queue } = this.#options
    await Promise.all(sinks.map((sink) => sink.start((command) => this.downlink(command))))
    this.#opener.start()
    for (const seq of queue.waitingAtStart) this.#opener.enqueue(seq)
    await Promise.all(sources.map((source) => source.start((event) => this.#take(event))))
    this.#watch.start(this.#timing.lookMs)
    this.#log.info('the bridge has started', { waiting: queue.waitingAtStart.length, sinks: sinks.length })
  }

  /** What an operator should know, in words; none while all is well. */
  problems(): string[] {
    const { queue, sources } = this.#options
    const problems = [queue.problem, this.#opener.problem, ...this.#workers.map(({ problem }) => problem)]
    const found = [...sources.map(({ problem }) => problem), ...problems].filter((problem) => problem !== undefined)
    if (this.#malformed < MALFORMED_IN_A_ROW) return found
    return [...found, `the last ${this.#malformed} events were none of this network: look at source.kind and encoding`]
  }

  /** What an operator may want to know beside problems. */
  notes(): string[] {
    const { putOff } = this.#opener
    return putOff === 0 ? [] : [`${putOff} uplinks wait for a session or a key`]
  }

  /**
   * Resolves when the network has queued the downlink.
   * @throws {BridgeError} `device_unknown`, `downlink_refused`, `downlink_unknown`, `queue_failed`
   */
  downlink(command: DownlinkCommand): Promise<void> {
    return this.#downlinks.send(command)
  }

  /** Takes no more, finishes what is in flight, and leaves the rest on disk. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop())
  }

  async #stop(): Promise<void> {
    this.#watch.stop()
    const { sources, sinks } = this.#options
    const timeout = new AbortController()
    const late = delay(this.#timing.stopMs, false, { signal: timeout.signal }).catch(() => false)
    const done = (async () => {
      await Promise.allSettled(sources.map((source) => source.stop()))
      await Promise.all([this.#opener.stop(), this.#downlinks.stop()])
      await Promise.all(this.#workers.map((worker) => worker.stop()))
      await Promise.allSettled(sinks.map((sink) => sink.stop()))
      return true
    })()
    const finished = await Promise.race([done, late])
    timeout.abort()
    this.#log.info('the bridge has stopped', { waiting: this.#options.queue.events, finished })
  }

  async #take(event: ReceivedEvent): Promise<void> {
    this.metrics.count('received')
    const network = this.#parse(event)
    if (network === undefined || !this.#mayPass(network)) return
    const seq = await this.#append(event, network)
    if (seq === 'copy') {
      this.metrics.count('copies')
      return
    }
    this.#waiting.remember(seq, event, network)
    this.#opener.enqueue(seq)
  }

  /** An uplink that the network tells in clear may be its own invention: it is passed on only where the owner wants that. */
  #mayPass(network: NetworkEvent): boolean {
    if (network.kind !== 'other' || network.isClearUplink !== true) return true
    const { passClear = false } = this.#options
    this.metrics.count('notEncrypted', { outcome: passClear ? 'passed' : 'dropped' })
    if (!passClear) this.#log.warn('an uplink was dropped, because the network told it in clear: see source.passClear')
    return passClear
  }

  /** What is no event will not become one when it is sent again. */
  #parse(event: ReceivedEvent): NetworkEvent | undefined {
    try {
      const network = this.#options.sources[0].shape.parse(event)
      this.#malformed = 0
      return network
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      this.metrics.count('dropped', { reason: error.code })
      this.#malformed++
      this.#log.warn('an event was dropped', { topic: quoted(event.topic), reason: error.code, says: error.message })
      return undefined
    }
  }

  async #append(event: ReceivedEvent, network: NetworkEvent): Promise<number | 'copy'> {
    try {
      return await this.#options.queue.append(network.id, event, noteOf(network))
    } catch (error) {
      const reason = error instanceof BridgeError ? error.code : 'internal_error'
      this.metrics.count('refused', { reason })
      this.#log.warn('an event could not be kept', { reason, problem: this.#options.queue.problem })
      throw error
    }
  }

  #showGauges(): void {
    const { queue } = this.#options
    const name = 'mortise_bridge'
    const ofSinks = (read: (worker: SinkWorker) => number) => () =>
      this.#workers.map((worker) => ({ labels: { sink: worker.name }, value: read(worker) }))
    this.metrics.show(
      { name: `${name}_queue_events`, help: 'Events that wait.', read: () => queue.events },
      { name: `${name}_queue_bytes`, help: 'Bytes of events that wait.', read: () => queue.bytes },
      { name: `${name}_queue_max_events`, help: 'How many may wait.', read: () => queue.limits.maxEvents },
      { name: `${name}_queue_max_bytes`, help: 'How many bytes may wait.', read: () => queue.limits.maxBytes },
      { name: `${name}_opening`, help: 'Events that wait to be opened.', read: () => this.#opener.waiting },
      { name: `${name}_waiting_for_key`, help: 'Uplinks that were put off.', read: () => this.#opener.putOff },
      { name: `${name}_sink_waiting`, help: 'Events that wait for a sink.', read: ofSinks((worker) => worker.waiting) },
      { name: `${name}_sink_in_flight`, help: 'Messages under way.', read: ofSinks((worker) => worker.inFlight) },
      { name: `${name}_downlinks_under_way`, help: 'Downlinks.', read: () => this.#downlinks.underWay },
      { name: `${name}_ready`, help: '1 while nothing is wrong.', read: () => Number(this.problems().length === 0) },
    )
  }
}

function noteOf(network: NetworkEvent): DeviceNote | undefined {
  if (network.kind === 'other') return undefined
  const { devEui, address } = network
  const profile = network.kind === 'uplink' ? network.deviceProfile : undefined
  // Kept for good, and by a network's word: no owner writes a longer one into a configuration.
  return {
    devEui,
    address,
    profile: profile !== undefined && profile.length <= MAX_PROFILE_LENGTH ? profile : undefined,
  }
}

function workersOf(sinks: readonly Sink[], queue: EventQueue): { readonly sink: Sink; readonly bit: number }[] {
  return sinks.map((sink, n) => {
    const bit = queue.sinkBits[n]
    if (bit === undefined || queue.sinkBits.length !== sinks.length) {
      throw new BridgeError('config_invalid', 'The queue was opened for other sinks.')
    }
    return { sink, bit }
  })
}
