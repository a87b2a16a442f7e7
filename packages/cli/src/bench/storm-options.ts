import type { BenchVersion } from './join-options.ts'

export interface StormBenchOptions {
  readonly devices: number
  readonly macVersion: BenchVersion
  readonly peers: number
  /** Seconds in which every device transmits for the first time. */
  readonly spread: number
  /** Silences of devices are shorter by this factor. */
  readonly timeScale: number
  /** Of each network server. */
  readonly connections: number
  readonly newConnections: boolean
  /** Seconds after which a device that has not joined counts as lost. */
  readonly timeout: number
  readonly pin: boolean
  readonly json: boolean
  readonly keep?: string
  readonly cpuProfile?: string
}

/** A network server of the region. */
export interface StormPeerPlan {
  readonly netId: string
  readonly kind: 'chirpstack' | 'the-things-stack'
  /** Its part of the devices: half of them, a quarter, an eighth, … */
  readonly share: number
  /** Each has an address of its own, as network servers do. */
  readonly localAddress: string
}

const FIRST_NET_ID = 0x000013
const FIRST_HOST = 2

/** So many network servers, one half as large as the one before; both kinds in turn. */
export function stormPeers(count: number): StormPeerPlan[] {
  return Array.from({ length: count }, (_, index) => ({
    netId: (FIRST_NET_ID + index).toString(16).padStart(6, '0'),
    kind: index % 2 === 0 ? 'chirpstack' : 'the-things-stack',
    share: 2 ** -index,
    localAddress: `127.0.0.${FIRST_HOST + index}`,
  }))
}
