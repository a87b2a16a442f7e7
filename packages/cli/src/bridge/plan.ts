import { HTTP_SCHEMES, isLoopback, MQTT_SCHEMES, type Schemes } from '@mortise/bridge/addresses'

export const SOURCE_KINDS = ['chirpstack', 'the-things-stack'] as const
export type SourceKind = (typeof SOURCE_KINDS)[number]

export type PlannedSink = { readonly kind: 'stdout' } | { readonly kind: 'mqtt' | 'http'; readonly url: string }

/** What a new bridge is to do: answers of a person, or options of the command. */
export interface BridgePlan {
  readonly source: SourceKind
  /** Where the network's events come from: its broker, or where it posts them to. */
  readonly from: { readonly mqttUrl: string; readonly user?: string } | { readonly webhook: string }
  readonly apiUrl?: string
  readonly sinks: readonly PlannedSink[]
  /** User at the brokers among them. */
  readonly sinkUser?: string
  readonly joinServer?: string
  readonly asId: string
  readonly kekLabel: string
}

/** A URL by TLS, or on this machine. @throws Error */
function parseAddress(text: string, { secure, plain }: Schemes): string {
  const { protocol, hostname, username, password } = new URL(text)
  if (hostname === '' || username !== '' || password !== '') throw new RangeError('not an address without credentials')
  if (secure.includes(protocol) || (plain.includes(protocol) && isLoopback(hostname))) return text
  throw new RangeError('not by TLS')
}

export function parseBroker(text: string): string {
  return parseAddress(text, MQTT_SCHEMES)
}

export function parseService(text: string): string {
  return parseAddress(text, HTTP_SCHEMES)
}

export function parseSink(text: string): PlannedSink {
  if (text === 'stdout') return { kind: 'stdout' }
  const kind = /^https?:/.test(text) ? 'http' : 'mqtt'
  return { kind, url: kind === 'http' ? parseService(text) : parseBroker(text) }
}

/** `HOST:PORT`. @throws Error */
export function parseWebhook(text: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text)?.[1])
  if (!(port > 0 && port <= 65_535)) throw new RangeError('not an address')
  return text
}

/** Whether only this machine can reach it. */
export function isLocalWebhook(webhook: string): boolean {
  return isLoopback(webhook.slice(0, webhook.lastIndexOf(':')))
}

export const BROKER_WORDS = 'mqtts://HOST:PORT or wss://…, without user and password; mqtt:// on this machine only'
export const SERVICE_WORDS = 'https://…, without user and password; http:// on this machine only'
export const SINK_WORDS = 'stdout, mqtts://HOST:PORT or https://…; without TLS on this machine only'
export const WEBHOOK_WORDS = 'HOST:PORT to listen on, such as 127.0.0.1:8090'
