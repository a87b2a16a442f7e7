import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js'
import type { ServiceAddress } from '../config.ts'
import { isLoopback } from '../config/addresses.ts'
import { BridgeError } from '../errors.ts'
import { headerText } from '../http-service.ts'

/** What a client of ChirpStack's gRPC API is made with, and what it sends with every call. */
export interface ApiChannel {
  /** `HOST:PORT` */
  readonly target: string
  readonly channel: ChannelCredentials
  readonly metadata: Metadata
}

/**
 * A downlink's metadata and the API token would cross the network in clear: without TLS on this machine alone.
 * @throws {BridgeError} `config_invalid`
 */
export function apiChannel({ url, token, ca, cert, key }: ServiceAddress): ApiChannel {
  const { protocol, hostname, port, pathname, search } = new URL(url)
  if (pathname !== '/' || search !== '') throw invalid('the URL of the gRPC API ends behind its port')
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${headerText(token)}`)
  if (protocol === 'https:') {
    const channel = credentials.createSsl(ca ?? null, key ?? null, cert ?? null)
    return { target: `${hostname}:${port === '' ? 443 : port}`, channel, metadata }
  }
  if (protocol !== 'http:') throw invalid('the URL of the gRPC API begins with https://')
  if (!isLoopback(hostname)) throw invalid('the gRPC API is called without TLS on this machine only')
  return { target: `${hostname}:${port === '' ? 80 : port}`, channel: credentials.createInsecure(), metadata }
}

function invalid(message: string): BridgeError {
  return new BridgeError('config_invalid', `api: ${message}.`)
}
