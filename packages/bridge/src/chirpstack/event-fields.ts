import type { KeyEnvelope } from '@mortise/backend-interfaces'
import type { ClearPayload, Reception } from '../network-event.ts'

/** What is used of ChirpStack's DeviceInfo; text is as it came. */
export interface DeviceFields {
  readonly applicationId: string
  readonly deviceName: string
  readonly deviceProfileName: string
  readonly devEui: string
}

/** ChirpStack's JoinServerContext: there only while the session's key is not ChirpStack's. */
export interface JoinServerContextFields {
  /** Hexadecimal; empty where the join server gave none. */
  readonly sessionKeyId: string
  readonly appSKey?: KeyEnvelope | undefined
}

/** What is used of a JoinEvent. */
export interface JoinFields {
  readonly deduplicationId: string
  /** RFC 3339 */
  readonly time: string
  readonly timeMs: number
  readonly device: DeviceFields
  readonly devAddr: string
  readonly context?: JoinServerContextFields | undefined
}

/** What is used of an UplinkEvent. */
export interface UplinkFields extends JoinFields {
  readonly fCnt: number
  readonly fPort: number
  /** FRMPayload; encrypted if there is a context. */
  readonly data: Uint8Array
  /** Whether there is an `object`, which only a codec at the network can have made. */
  readonly hasObject: boolean
  readonly rx: readonly Reception[]
}

/** One of ChirpStack's two encodings. */
export interface Encoding {
  /** @throws {BridgeError} `event_malformed` */
  readUplink(body: Uint8Array): UplinkFields
  /** @throws {BridgeError} `event_malformed` */
  readJoin(body: Uint8Array): JoinFields
  /** DeviceInfo of an event of any type. @throws {BridgeError} `event_malformed` */
  readDevice(type: string, body: Uint8Array): DeviceFields
  /** An UplinkEvent with `data` and `object` in clear, without JoinServerContext, and else as it was. */
  fill(body: Uint8Array, clear: ClearPayload): Uint8Array
}
