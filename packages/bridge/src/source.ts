import type { SessionDownlink } from '@mortise/application-server'
import type { DevEui } from '@mortise/lorawan'
import type { EventShape, ReceivedEvent } from './network-event.ts'

/**
 * Takes over an event: resolves when it is safe on disk, and only then is it acknowledged to the network. It rejects
 * when it cannot be kept (`queue_full`, `queue_failed`): then it is not acknowledged, and the network sends it again.
 */
export type TakeEvent = (event: ReceivedEvent) => Promise<void>

/** Where events come from: a broker, or an HTTP listener that a network posts to. */
export interface Source extends AsyncDisposable {
  readonly shape: EventShape
  /** Why no events come at present, in words for an operator; undefined while all is well. */
  readonly problem: string | undefined
  /** Begins. A connection that cannot be made is tried again for ever; only a configuration that can never work throws. */
  start(take: TakeEvent): Promise<void>
  /** Takes no more; what is being taken is still acknowledged. */
  stop(): Promise<void>
}

export interface SealedDownlink extends SessionDownlink {
  readonly confirmed: boolean
  /** As the network's last event of this device had it. */
  readonly address: string
}

/** The network's way for downlinks that it cannot read. */
export interface DownlinkPath extends AsyncDisposable {
  /** The frame counter that the network would give its next downlink to this device; undefined where it does not tell. */
  nextFCntDown(devEui: DevEui, address: string): Promise<number | undefined>
  /**
   * Resolves when the network has queued it.
   * @throws {BridgeError} `downlink_refused`: never queued, and {@link DownlinkPath.nextFCntDown} may know why; `downlink_unknown`: whether it was queued is not known
   */
  send(downlink: SealedDownlink): Promise<void>
}
