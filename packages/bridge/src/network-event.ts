import type { JsonObject, SessionEvent, UplinkEvent } from '@mortise/application-server'
import type { DevEui } from '@mortise/lorawan'

/**
 * What a network server sent, as it came. It waits on disk in this form: payloads stay encrypted there.
 */
export interface ReceivedEvent {
  /**
   * The MQTT topic, or the one that the same event would have over MQTT when it came over HTTP: sinks repeat it.
   * Up to 1,024 bytes of UTF-8.
   */
  readonly topic: string
  readonly body: Uint8Array
}

/** A gateway's reception of an uplink. */
export interface Reception {
  readonly gatewayId: string
  /** dBm. */
  readonly rssi?: number | undefined
  /** dB. */
  readonly snr?: number | undefined
}

interface OfDevice {
  /** Names the event among all that wait: a second copy of it, however it came, has the same. 32 hexadecimal digits. */
  readonly id: string
  readonly devEui: DevEui
  readonly deviceName?: string | undefined
  /** Where the network wants downlinks for this device, in its own words; kept with the device. Up to 1,024 characters. */
  readonly address: string
}

export interface UplinkOfNetwork extends OfDevice {
  readonly kind: 'uplink'
  readonly uplink: UplinkEvent
  /** The network's time of it, as in RFC 3339. */
  readonly time: string
  readonly rx: readonly Reception[]
  /** The name of the device's kind at the network, by which an owner may choose a codec. */
  readonly deviceProfile?: string | undefined
}

export interface JoinOfNetwork extends OfDevice {
  readonly kind: 'join'
  readonly session: SessionEvent
}

/** Nothing of it is encrypted for the application: passed on as it came (acknowledgements, status, location, FPort 0, …). */
export interface OtherEvent {
  readonly kind: 'other'
  readonly id: string
  /** An uplink whose payload, or what is made of it, the network itself tells: whether a device ever said it, nobody knows. */
  readonly isClearUplink?: boolean
}

export type NetworkEvent = UplinkOfNetwork | JoinOfNetwork | OtherEvent

/** A payload in clear, and what its codec made of it. */
export interface ClearPayload {
  readonly data: Uint8Array
  readonly object?: JsonObject | undefined
}

/** How one kind of network server writes its events. Pure: it reads and writes bytes, and knows no connection. */
export interface EventShape {
  /** @throws {BridgeError} `event_malformed` */
  parse(event: ReceivedEvent): NetworkEvent
  /** The network's own event with the payload in clear in its place, and nothing that says it were encrypted. */
  fill(event: ReceivedEvent, clear: ClearPayload): Uint8Array
}
