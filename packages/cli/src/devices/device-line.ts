import { MAX_APPLICATION_SERVERS, MAX_NETWORKS } from '@mortise/hsm'
import {
  type DevEui,
  type JoinEui,
  MAC_VERSIONS,
  type MacVersion,
  type NetId,
  parseDevEui,
  parseJoinEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import { parseAsId } from '../identifiers.ts'
import { applicationServersOf, NETWORK_ITSELF } from './recipients.ts'
import { parseObject, parseRootKeys, RootKeyError, type RootKeys, unknownMember } from './root-keys.ts'

/** A device as the owner wants it. */
export interface DeviceEntry {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  readonly keys: RootKeys
  readonly applicationServers: readonly string[]
  readonly networkIsApplicationServer: boolean
  readonly networks: readonly NetId[]
}

const MEMBERS = new Set(['devEui', 'joinEui', 'macVersion', 'appKey', 'nwkKey', 'as', 'networks'])

/** A line of a device file that cannot be used. The message names members, never a key. */
export class DeviceLineError extends Error {
  override readonly name = 'DeviceLineError'
}

/**
 * Reads one line: `{devEui, joinEui, macVersion, appKey, nwkKey?, as, networks}`; `as` is a string or an array, and
 * "network" alone the network itself. Absent lists are empty, unknown members are refused.
 * @throws DeviceLineError
 */
export function parseDeviceLine(text: string): DeviceEntry {
  const members = withoutRootKeyError(() => parseObject(text))
  const unknown = Object.keys(members).find((name) => !MEMBERS.has(name))
  if (unknown !== undefined) fail(unknownMember(unknown))
  const macVersion = textOf(members, 'macVersion', parseMacVersion, `must be one of ${MAC_VERSIONS.join(', ')}`)
  const { as } = members
  return {
    devEui: textOf(members, 'devEui', parseDevEui, 'must be 16 hexadecimal digits'),
    joinEui: textOf(members, 'joinEui', parseJoinEui, 'must be 16 hexadecimal digits'),
    macVersion,
    keys: withoutRootKeyError(() => parseRootKeys(macVersion, members['appKey'], members['nwkKey'])),
    ...recipientsOf(listOf('as', typeof as === 'string' ? [as] : as, parseAsId, 'AS-IDs', MAX_APPLICATION_SERVERS)),
    networks: listOf('networks', members['networks'], parseNetId, 'NetIDs of 6 hexadecimal digits', MAX_NETWORKS),
  }
}

function recipientsOf(as: readonly string[]): ReturnType<typeof applicationServersOf> {
  if (as.length > 1 && as.includes(NETWORK_ITSELF)) fail(`as: "${NETWORK_ITSELF}" stands alone`)
  return applicationServersOf(as)
}

function textOf<T>(members: Record<string, unknown>, name: string, parse: (text: string) => T, expected: string): T {
  const value = members[name]
  if (value === undefined) return fail(`${name} is missing`)
  if (typeof value !== 'string') return fail(`${name} ${expected}`)
  try {
    return parse(value)
  } catch {
    return fail(`${name} ${expected}`)
  }
}

function listOf<T>(name: string, value: unknown, parse: (text: string) => T, what: string, limit: number): T[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) return fail(`${name} must be an array of ${what}`)
  if (value.length > limit) return fail(`${name} has more than ${limit} entries`)
  const list = value.map((item: unknown) => {
    try {
      return typeof item === 'string' ? parse(item) : fail(`${name} must hold ${what}`)
    } catch {
      return fail(`${name} must hold ${what}`)
    }
  })
  if (new Set(list).size < list.length) return fail(`${name} names one twice`)
  return list
}

function withoutRootKeyError<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof RootKeyError) return fail(error.message)
    throw error
  }
}

function fail(message: string): never {
  throw new DeviceLineError(message)
}
