import { isIP } from 'node:net'
import type { Section } from './section.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i

/** Whether what is sent to a host, or listens there, stays on this machine. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host.replace(/^\[|\]$/g, ''))
}

export interface Schemes {
  /** With TLS. */
  readonly secure: readonly string[]
  /** Without; on this machine only. */
  readonly plain: readonly string[]
}

export const MQTT_SCHEMES: Schemes = { secure: ['mqtts:', 'wss:'], plain: ['mqtt:', 'ws:'] }
export const HTTP_SCHEMES: Schemes = { secure: ['https:'], plain: ['http:'] }
/** Session keys travel here. */
export const HTTPS_ONLY: Schemes = { secure: ['https:'], plain: [] }

/** A URL without credentials, by TLS unless it stays on this machine. It is not repeated in a fault. @throws SectionFault */
export function readUrl(section: Section, schemes: Schemes, example: string): string {
  const text = section.text('url', `write it as in ${example}`)
  const name = 'url'
  if (!URL.canParse(text)) return section.fault(name, 'is no URL', `write it as in ${example}`)
  const { protocol, hostname, username, password, hash, port } = new URL(text)
  if (username !== '' || password !== '')
    return section.fault(name, 'has a user or a password in it', 'take them out; the password goes into a file')
  if (hash !== '') return section.fault(name, 'has a part behind "#"', 'take it out')
  if (!schemes.secure.includes(protocol) && !schemes.plain.includes(protocol))
    return section.fault(name, `begins with ${protocol}//, which is not spoken here`, `write it as in ${example}`)
  if (hostname === '' || port === '0') return section.fault(name, 'names no host and port', `write it as in ${example}`)
  if (schemes.plain.includes(protocol) && !isLoopback(hostname))
    return section.fault(
      name,
      `${protocol}// has no TLS, and readings and passwords would cross the network in clear: it is for this machine alone`,
      `write ${schemes.secure.map((scheme) => `${scheme}//`).join(' or ')} and let the other side have a certificate`,
    )
  return text
}

/** `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one. @throws SectionFault */
export function readListen(section: Section, name: string): { host: string; port: number } | undefined {
  const text = section.optionalText(name)
  if (text === undefined) return undefined
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || !(port <= 65_535) || (match?.[1] !== undefined && isIP(host) !== 6))
    return section.fault(name, 'is no address to listen on', 'write HOST:PORT, for instance "127.0.0.1:9464"')
  return { host, port }
}
