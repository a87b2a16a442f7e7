import type { IClientOptions } from 'mqtt'
import type { MqttAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'

/**
 * The library's options for an address. They are given one by one, and never as URL: it would take a client identifier
 * from the query, and credentials that then stand in every text of the URL.
 * @throws {BridgeError} `config_invalid`
 */
export function brokerOptions(address: MqttAddress): IClientOptions {
  const url = brokerUrl(address.url)
  const { clientId, username, password, ca, cert, key } = address
  const secure = url.scheme === 'mqtts' || url.scheme === 'wss'
  if (clientId === '') throw invalid('a connection that is kept needs a client identifier')
  if (!secure && (ca ?? cert ?? key) !== undefined) throw invalid('certificates are used with mqtts:// and wss:// only')
  if ((cert === undefined) !== (key === undefined))
    throw invalid('a client certificate needs its key, and a key its certificate')
  return {
    protocol: url.scheme,
    // A WebSocket's URL is put together of these again, and needs the brackets of an IPv6 address.
    host: url.path === undefined ? url.host.replace(/^\[|\]$/g, '') : url.host,
    port: url.port,
    ...(url.path !== undefined && { path: url.path }),
    clientId,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(secure && { minVersion: 'TLSv1.2' }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
}

/** What a broker says to a version that it does not speak, in MQTT 3.1.1 (§3.2.2.3) and in MQTT 5.0 (§3.2.2.2). */
export const VERSION_REFUSED: ReadonlySet<unknown> = new Set([1, 132])

/** How an address is told to people, and compared with another one: scheme, host and port, with nothing secret in it. */
export function brokerName(address: Pick<MqttAddress, 'url'>): string {
  const { scheme, host, port } = brokerUrl(address.url)
  return `${scheme}://${host}:${port}`
}

const SCHEMES = {
  'mqtt:': { scheme: 'mqtt', port: 1883 },
  'mqtts:': { scheme: 'mqtts', port: 8883 },
  'ws:': { scheme: 'ws', port: 80 },
  'wss:': { scheme: 'wss', port: 443 },
} as const

interface BrokerUrl {
  readonly scheme: (typeof SCHEMES)[keyof typeof SCHEMES]['scheme']
  /** In brackets if it is an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Of a WebSocket. */
  readonly path?: string
}

function brokerUrl(text: string): BrokerUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !isScheme(url.protocol) || url.hostname === '') {
    throw invalid('the URL of a broker begins with mqtt://, mqtts://, ws:// or wss:// and a host')
  }
  if (url.username !== '' || url.password !== '') throw invalid('the URL of a broker holds no credentials')
  if (url.search !== '' || url.hash !== '') throw invalid('the URL of a broker ends before ? and #')
  const { scheme, port } = SCHEMES[url.protocol]
  const address = { scheme, host: url.hostname.toLowerCase(), port: url.port === '' ? port : Number(url.port) }
  if (scheme === 'ws' || scheme === 'wss') return { ...address, path: url.pathname }
  if (url.pathname !== '' && url.pathname !== '/')
    throw invalid('the URL of a broker has a path with ws:// and wss:// only')
  return address
}

function isScheme(text: string): text is keyof typeof SCHEMES {
  return Object.hasOwn(SCHEMES, text)
}

function invalid(message: string): BridgeError {
  return new BridgeError('config_invalid', `mqtt: ${message}.`)
}
