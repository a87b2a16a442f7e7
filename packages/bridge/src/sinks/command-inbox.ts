import { setTimeout as sleep } from 'node:timers/promises'
import { BridgeError, type BridgeErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { DownlinkCommand, Message } from '../sink.ts'
import { quoted } from '../topic.ts'

/** How applications of one kind of network write what they want sent to a device. */
export interface CommandShape {
  /** Topic filters that commands arrive at. */
  readonly filters: readonly string[]
  /**
   * What a message asks for, one after the other.
   * @throws {BridgeError} `event_malformed`, `device_unknown`
   */
  parse(topic: string, body: Uint8Array): readonly DownlinkCommand[]
  /** Sees what is passed on, where commands name devices in the words of events. */
  learn?(message: Message): void
}

export type RunCommand = (command: DownlinkCommand) => Promise<void>

const PASSING: readonly BridgeErrorCode[] = [
  'downlink_unavailable',
  'downlink_unknown',
  'queue_full',
  'queue_failed',
  'sink_failed',
]

const MAX_PAUSE_MS = 60_000

/**
 * Commands of applications on their way to the network. One that fails for a reason that passes is tried until it
 * succeeds, and its message stays with the broker meanwhile; one that can never succeed is told of and dropped, because
 * it would keep all others from coming.
 */
export class CommandInbox {
  readonly #shape: CommandShape
  readonly #log: Log
  readonly #stopped = new AbortController()
  #run: RunCommand | undefined

  constructor(shape: CommandShape, log: Log) {
    this.#shape = shape
    this.#log = log
  }

  start(run: RunCommand): void {
    this.#run = run
  }

  get filters(): readonly string[] {
    return this.#shape.filters
  }

  learn(message: Message): void {
    this.#shape.learn?.(message)
  }

  /** What is being tried again is given up, and stays with the broker. */
  stop(): void {
    this.#stopped.abort()
  }

  /** Resolves when the message is done with. Rejects when the inbox was stopped before. */
  async take(topic: string, body: Uint8Array): Promise<void> {
    const commands = this.#parse(topic, body)
    for (const command of commands) {
      for (let pauseMs = 1000; !(await this.#done(command)); pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
        await sleep(pauseMs, undefined, { signal: this.#stopped.signal })
      }
    }
  }

  #parse(topic: string, body: Uint8Array): readonly DownlinkCommand[] {
    try {
      return this.#shape.parse(topic, body)
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      this.#log.warn('a downlink command was dropped', { topic: quoted(topic), reason: error.message })
      return []
    }
  }

  /** Whether nothing is left to do for this command. */
  async #done(command: DownlinkCommand): Promise<boolean> {
    if (this.#run === undefined) throw new Error('Nobody takes commands yet.')
    try {
      await this.#run(command)
    } catch (error) {
      this.#stopped.signal.throwIfAborted()
      if (passes(error)) return false
      const reason = error instanceof Error ? error.message : 'no reason was given'
      this.#log.warn('a downlink command was dropped', { devEui: command.devEui, reason })
    }
    return true
  }
}

function passes(error: unknown): boolean {
  return error instanceof BridgeError && PASSING.includes(error.code)
}
