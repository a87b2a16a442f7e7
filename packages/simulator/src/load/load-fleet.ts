import {
  bytesToHex,
  type DevEui,
  is11,
  type JoinEui,
  type MacVersion,
  parseDevEui,
  parseJoinEui,
  parseMacVersion,
} from '@mortise/lorawan'
import { readSecretFile } from '../key-file.ts'
import { Members } from '../members.ts'

/**
 * A fleet that is too large to be made device by device: everything about device `index` is computed. Devices share a
 * pool of root keys, so that a million of them can be made in a minute; their DevEUIs are spread over the whole range,
 * as those are that tell nothing of their maker.
 */
export interface LoadFleet {
  readonly macVersion: MacVersion
  readonly size: number
  readonly joinEui: JoinEui
  /** 16 bytes each; device `index` has the one at `index % pool size`. */
  readonly appKeys: readonly Uint8Array[]
  /** As many as `appKeys` for LoRaWAN 1.1, none before. */
  readonly nwkKeys: readonly Uint8Array[]
}

/** Fleets of one installation must not share DevEUIs: each LoRaWAN version has half of them. */
const DEV_EUI_SALT = { '1.0': 0x6d6f7274, '1.1': 0x69736531 } as const

/** The DevEUI of device `index` (below 2^32): different for each. */
export function loadDevEui({ macVersion }: Pick<LoadFleet, 'macVersion'>, index: number): DevEui {
  const salt = DEV_EUI_SALT[is11(macVersion) ? '1.1' : '1.0']
  return parseDevEui(hex32(mixed(index ^ salt)) + hex32(mixed(index + salt)))
}

/** As JSON text, for a file that only its owner may read: it holds root keys. */
export function encodeLoadFleet({ macVersion, size, joinEui, appKeys, nwkKeys }: LoadFleet): string {
  const text = { macVersion, size, joinEui, appKeys: joined(appKeys), nwkKeys: joined(nwkKeys) }
  return JSON.stringify(text)
}

/** @throws {MembersError} a member that is missing or malformed */
export async function readLoadFleet(path: string): Promise<LoadFleet> {
  const members = Members.parse((await readSecretFile(path)).toString())
  return {
    macVersion: parseMacVersion(members.text('macVersion')),
    size: members.number('size'),
    joinEui: parseJoinEui(members.text('joinEui')),
    appKeys: keysOf(members.bytes('appKeys')),
    nwkKeys: keysOf(members.bytes('nwkKeys')),
  }
}

const ROOT_KEY_SIZE = 16

function joined(keys: readonly Uint8Array[]): string {
  return keys.map(bytesToHex).join('')
}

function keysOf(bytes: Uint8Array): Uint8Array[] {
  const count = bytes.length / ROOT_KEY_SIZE
  return Array.from({ length: count }, (_, index) => bytes.slice(index * ROOT_KEY_SIZE, (index + 1) * ROOT_KEY_SIZE))
}

/** A bijection of 32-bit numbers that leaves no pattern (the finaliser of MurmurHash3). */
function mixed(value: number): number {
  let bits = value >>> 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0')
}
