import type { JsonObject } from '@mortise/application-server'
import type { DevEui } from '@mortise/lorawan'
import type { Reception } from './network-event.ts'

/**
 * An uplink in clear, as one JSON object. `devEui`, `sessionKeyId` (or `session`, where the network tells none) and `fCnt` name it: a copy has the same.
 */
export interface Reading {
  readonly devEui: DevEui
  readonly deviceName?: string | undefined
  /** RFC 3339, by the network's clock. */
  readonly time: string
  readonly fPort: number
  /** 32 bits. */
  readonly fCnt: number
  /** Hexadecimal, lower case. */
  readonly sessionKeyId?: string | undefined
  /** Names the session even where it has no SessionKeyID. */
  readonly session: string
  /** Base64. */
  readonly data: string
  /** What the codec made of it. */
  readonly object?: JsonObject | undefined
  /** Why there is no object, where there is a codec. */
  readonly codecError?: string | undefined
  readonly rx: readonly Reception[]
  readonly source: string
}

/** Something to pass on: a reading, or an event of the network in which nothing was encrypted. */
export interface Message {
  /** Absent for what is no uplink. */
  readonly reading?: Reading | undefined
  /** The network's own event, with the payload in clear where it had one. */
  readonly event: { readonly topic: string; readonly body: Uint8Array }
}

/** What an application wants sent to a device, in clear. */
export interface DownlinkCommand {
  readonly devEui: DevEui
  readonly fPort: number
  readonly confirmed: boolean
  /** Bytes, or an object for the codec of the device. */
  readonly payload: Uint8Array | JsonObject
}

/** Where readings go. */
export interface Sink extends AsyncDisposable {
  /** Tells it from other sinks in metrics, in logs and on disk; no secret. It stays the same over restarts. */
  readonly name: string
  /** Why nothing can be passed on at present, in words for an operator; undefined while all is well. */
  readonly problem: string | undefined
  /** Whether there is a connection over which deliveries go; absent where each makes its own. */
  readonly isConnected?: boolean
  /** Begins; tries connections again for ever. `command` resolves when a downlink was taken over by the network. */
  start(command: (command: DownlinkCommand) => Promise<void>): Promise<void>
  /**
   * Resolves when the receiver has it, or when this sink passes on nothing of its kind. Many may be under way at once.
   * @throws {BridgeError} `sink_failed`, `sink_busy`: to be tried again; `sink_refused`: the receiver will never take this one
   */
  deliver(message: Message): Promise<void>
  /** Takes no more commands. */
  stop(): Promise<void>
}
