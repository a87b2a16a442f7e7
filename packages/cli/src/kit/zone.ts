import { isIP } from 'node:net'
import type { JoinEui } from '@mortise/lorawan'
import { usageError } from '../errors.ts'

export interface ZoneOptions {
  /** The zone, or a part of it that was delegated: its first labels may be digits of JoinEUIs. */
  readonly origin: string
  readonly joinEuis: readonly JoinEui[]
  /** Name of the join server. */
  readonly host: string
  readonly port: number
  /** Its addresses, for network servers that look up nothing else. */
  readonly addresses: readonly string[]
  /** In place of everything else: the name is another name of the host. */
  readonly alias: boolean
}

export interface Zone {
  readonly text: string
  /** JoinEUIs that have no name below the origin. */
  readonly outside: readonly JoinEui[]
}

const TTL_S = 3600
const EUI64_DIGITS = 16

/**
 * Records of a zone file (RFC 1035 §5), to be put below its SOA and NS: NAPTR (RFC 3403) with the service LWNS, which
 * leads to SRV; addresses beside them, as ChirpStack asks for. In ascending order of JoinEUI, so that the same JoinEUIs
 * give the same text.
 * @throws CliError usage for an alias of the origin itself, which has SOA and NS: nothing may stand beside a CNAME (RFC
 *   1034 §3.6.2)
 */
export function writeZone(options: ZoneOptions): Zone {
  const { origin, joinEuis } = options
  const names = joinEuis.toSorted().map((joinEui) => ({ joinEui, name: nameBelow(origin, joinEui) }))
  const lines = names.flatMap(({ joinEui, name }) =>
    name === undefined ? [] : [`; JoinEUI ${joinEui}`, ...recordsOf(name, options)],
  )
  return {
    text: [`$ORIGIN ${absolute(origin)}`, `$TTL ${TTL_S}`, ...lines, ''].join('\n'),
    outside: names.filter(({ name }) => name === undefined).map(({ joinEui }) => joinEui),
  }
}

function recordsOf(name: string, { host, port, addresses, alias }: ZoneOptions): string[] {
  if (alias && name === '@')
    throw usageError('a CNAME cannot stand at the top of a zone', 'leave --cname out and name addresses: --address')
  if (alias) return [`${name} IN CNAME ${absolute(host)}`]
  const service = name === '@' ? '_lwns._tcp' : `_lwns._tcp.${name}`
  return [
    `${name} IN NAPTR 100 10 "S" "LWNS" "" ${service}`,
    `${service} IN SRV 0 0 ${port} ${absolute(host)}`,
    ...addresses.map((address) => `${name} IN ${isIP(address) === 6 ? 'AAAA' : 'A'} ${address}`),
  ]
}

/** Digits of the JoinEUI that the origin does not have yet, the last one first; undefined where it has others. */
function nameBelow(origin: string, joinEui: JoinEui): string | undefined {
  const digits = Array.from(joinEui).reverse()
  const labels = origin.toLowerCase().split('.')
  const end = labels.findIndex((label) => !/^[0-9a-f]$/.test(label))
  const delegated = labels.slice(0, end === -1 ? labels.length : end)
  if (delegated.length > EUI64_DIGITS) return undefined
  const rest = digits.slice(0, EUI64_DIGITS - delegated.length)
  if (digits.slice(rest.length).join('.') !== delegated.join('.')) return undefined
  return rest.length === 0 ? '@' : rest.join('.')
}

function absolute(name: string): string {
  return name.endsWith('.') ? name : `${name}.`
}
