import type { BackendInterfacesClient, ClientOptions, KeyEnvelope, ProtocolVersion } from '@mortise/backend-interfaces'
import type { DevAddr, DevEui, MacVersion, NetId, NsId } from '@mortise/lorawan'

export interface NetworkServerOptions {
  readonly netId: NetId
  readonly protocolVersion: ProtocolVersion
  /** Sent in version 1.1 of the Backend Interfaces. */
  readonly nsId?: NsId | undefined
  /** Makes the way to the join server, which must report every exchange: `(onExchange) => createClient({…, onExchange})`. */
  readonly connect: (onExchange: NonNullable<ClientOptions['onExchange']>) => BackendInterfacesClient
  /** The network's own KEKs by label; the application's are nobody's business here. */
  readonly keks?: ReadonlyMap<string, Uint8Array>
}

export interface ActivationOptions {
  /** The highest version common to the network and the device. */
  readonly macVersion: MacVersion
  /** Whether the network answers a device of 1.1 in 1.1; it does unless told otherwise. */
  readonly optNeg?: boolean
  /** In seconds, 0 to 15; 1 unless told otherwise. */
  readonly rxDelay?: number
  /** 16 bytes. */
  readonly cfList?: Uint8Array
}

/** A rejoin is of LoRaWAN 1.1 on both sides. */
export type RejoinOptions = Pick<ActivationOptions, 'rxDelay' | 'cfList'>

export interface Activation {
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** The join-accept, to be sent to the device. */
  readonly phyPayload: Uint8Array
  /** For the application: what names the session at the join server. */
  readonly sessionKeyId: Uint8Array | undefined
  /** For the application: the AppSKey as it came, which this network cannot open. */
  readonly appSKey: KeyEnvelope | undefined
}

export interface ReceivedUplink {
  readonly devEui: DevEui
  /** Absent when there is no payload. */
  readonly fPort: number | undefined
  /** The full counter. */
  readonly fCnt: number
  /** Encrypted. */
  readonly frmPayload: Uint8Array
  readonly confirmed: boolean
  /** Whether it acknowledges the last confirmed downlink. */
  readonly ack: boolean
  /** The network's part, in clear. */
  readonly macCommands: Uint8Array
  readonly sessionKeyId: Uint8Array | undefined
  readonly appSKey: KeyEnvelope | undefined
  /** The counter that the application's next downlink may have at the lowest. */
  readonly nextFCntDown: number
}

/** Without FPort, FCnt and FRMPayload it carries an acknowledgement alone. */
export interface DownlinkToSend {
  readonly devEui: DevEui
  /** 1 to 255. */
  readonly fPort?: number
  /** As the application encrypted under it. */
  readonly fCnt?: number
  /** Encrypted by the application. */
  readonly frmPayload?: Uint8Array
  readonly confirmed?: boolean
}
