import { MAC_VERSIONS, type MacVersion } from '@mortise/lorawan'
import type { FuzzDevice } from '../device-keys.ts'
import type { Random } from '../random.ts'
import { idOf, type Network, NETWORKS } from './peers.ts'

/** A device and what its owner allows. */
export interface EnrolledDevice extends FuzzDevice {
  /** 32 hex digits. */
  readonly deviceId: string
  readonly networks: readonly string[]
  readonly applicationServers: readonly string[]
  readonly networkIsApplicationServer: boolean
}

/** LoRaWAN 1.1 more often than the others: it alone has rejoin-requests. An odd number, so that none goes with a peculiarity. */
const VERSIONS: readonly MacVersion[] = [...MAC_VERSIONS, '1.1.0', '1.1.0', '1.1.0']

/** The first network of some peculiarities: one that has an NSID. */
const HOMES: Readonly<Record<number, Network>> = { 2: 'version11', 10: 'theThingsStack' }

/** Versions in turn; most with all that a device may have, some with less or with something else. */
export function makeDevice(random: Random, index: number): EnrolledDevice {
  const macVersion = VERSIONS[index % VERSIONS.length] ?? '1.0.3'
  const peculiarity = index % 16
  const home = HOMES[peculiarity] ?? 'clear'
  const networks = [home, ...NETWORKS.filter((name) => name !== home)].map(idOf)
  return {
    deviceId: random.bytes(16).toString('hex'),
    devEui: random.bytes(8).toString('hex'),
    joinEui: random.bytes(8).toString('hex'),
    macVersion,
    appKey: random.bytes(16),
    nwkKey: macVersion === '1.1.0' ? random.bytes(16) : undefined,
    networks: peculiarity === 11 ? [] : peculiarity === 15 ? ['000013'] : networks,
    applicationServers:
      peculiarity === 7 || peculiarity === 5
        ? []
        : peculiarity === 13
          ? ['keyless.example']
          : ['doors.example', 'windows.example'],
    networkIsApplicationServer: peculiarity === 5 || peculiarity === 9,
  }
}
