import type { Codec, KekRing } from '@mortise/application-server'
import type { JoinEui } from '@mortise/lorawan'

/** How to reach an MQTT broker. Files are read when the configuration is. */
export interface MqttAddress {
  /** mqtt://, mqtts://, ws:// or wss://; without credentials. */
  readonly url: string
  readonly clientId: string
  readonly username?: string | undefined
  readonly password?: Buffer | undefined
  /** PEM. */
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

/** How to call an HTTPS or gRPC service. */
export interface ServiceAddress {
  readonly url: string
  /** Sent as bearer token. */
  readonly token?: Buffer | undefined
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

/** Where a network may post events to. */
export interface WebhookListener {
  readonly host: string
  readonly port: number
  /** What the network must show: `authorization: Bearer …`. */
  readonly token: Buffer
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

export interface SourceConfig {
  readonly kind: 'chirpstack' | 'the-things-stack'
  /** In readings, to tell several networks apart. */
  readonly name: string
  readonly mqtt?: (MqttAddress & { readonly topic: string }) | undefined
  /** ChirpStack only. */
  readonly encoding: 'json' | 'protobuf'
  /** Whether uplinks that the network tells in clear are passed on: of devices that are not end-to-end encrypted. */
  readonly passClear?: boolean | undefined
  /** ChirpStack only, which tells none: the one to ask the join server for, where it names a session alone. */
  readonly joinEui?: JoinEui | undefined
  readonly webhook?: WebhookListener | undefined
  /** For downlinks: ChirpStack's gRPC API; The Things Stack's HTTP API where it is not reached by MQTT. */
  readonly api?: ServiceAddress | undefined
}

export type SinkConfig =
  | { readonly kind: 'stdout' }
  | { readonly kind: 'http'; readonly service: ServiceAddress; readonly shape: 'reading' | 'source' }
  | {
      readonly kind: 'mqtt'
      readonly mqtt: MqttAddress
      /** `source`: the topics and events of the source. `reading`: one topic, `{devEui}` in it is replaced. */
      readonly shape: 'reading' | 'source'
      readonly topic: string
    }

export interface CodecChoice {
  readonly codec: Codec
  /** Upper-case hexadecimal DevEUIs, names of device profiles; both empty: every device without another choice. */
  readonly devices: readonly string[]
  readonly profiles: readonly string[]
}

export interface BridgeConfig {
  readonly source: SourceConfig
  readonly sinks: readonly SinkConfig[]
  readonly joinServer?:
    | {
        /** By TLS, and to this CA alone: session keys travel here. */
        readonly service: ServiceAddress & { readonly ca: Buffer }
        readonly asId: string
        readonly protocolVersion: '1.0' | '1.1'
        /** Who gives AppSKeys: the network, with its events, as far as it does; or always the join server. */
        readonly keysFrom: 'network' | 'join-server'
      }
    | undefined
  readonly kekRing: KekRing
  readonly codecs: readonly CodecChoice[]
  readonly data: {
    /** Holds the queue and the sessions. */
    readonly directory: string
    readonly maxEvents: number
    readonly maxBytes: number
  }
  /** For metrics and /readyz. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
}
