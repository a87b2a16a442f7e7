import type { KekKind } from '@mortise/hsm'
import { Random } from '../random.ts'
import { type Dialect, DIALECTS, type DialectName } from './dialects.ts'

/** Who calls; nobody's, where there is nothing known. */
export interface Peer {
  readonly kind: KekKind
  readonly id: string
  readonly dialect?: DialectName
  readonly nsId?: string
  /** How long its KEK is; it has none without. */
  readonly kekBytes?: 16 | 24 | 32
  readonly kekOnly?: true
  /** Answers come to a URL of its own. */
  readonly asynchronous?: true
}

const PEERS = {
  clear: { kind: 'ns', id: '000013' },
  wrapped: { kind: 'ns', id: '000024', kekBytes: 16 },
  version11: { kind: 'ns', id: '600002', dialect: 'standard-1.1', nsId: '70b3d57ed0000013' },
  chirpStack4: { kind: 'ns', id: '600004', dialect: 'chirpstack-4', kekBytes: 16 },
  chirpStack3: { kind: 'ns', id: '600006', dialect: 'chirpstack-3', kekBytes: 16 },
  theThingsStack: { kind: 'ns', id: '600007', dialect: 'the-things-stack', kekBytes: 32, nsId: '70b3d57ed0000014' },
  helium: { kind: 'ns', id: 'c00053', dialect: 'helium' },
  asynchronous: { kind: 'ns', id: '600001', kekBytes: 24, asynchronous: true },
  largeKek: { kind: 'ns', id: '600008', dialect: 'helium', kekBytes: 32 },
  kekOnly: { kind: 'ns', id: '600009', kekOnly: true },
  unwelcome: { kind: 'ns', id: '00002a' },
  disabled: { kind: 'ns', id: '00002c' },
  named: { kind: 'as', id: 'doors.example', kekBytes: 32 },
  second: { kind: 'as', id: 'windows.example', kekBytes: 24 },
  keyless: { kind: 'as', id: 'keyless.example' },
  other: { kind: 'as', id: 'other.example', kekBytes: 16 },
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof PEERS
export type Caller = PeerName | 'stranger' | 'nobody'

export const PEER_NAMES = Object.keys(PEERS) as readonly PeerName[]
export const CALLERS: readonly Caller[] = [...PEER_NAMES, 'stranger', 'nobody']
/** The networks that a device may have; `largeKek` and `kekOnly` never get an answer all the same. */
export const NETWORKS = [
  ...(['clear', 'wrapped', 'version11', 'chirpStack4', 'chirpStack3', 'theThingsStack', 'helium'] as const),
  ...(['asynchronous', 'largeKek', 'kekOnly'] as const),
]
export type Network = (typeof NETWORKS)[number]

/** Others have three. An answer that is posted costs two writes to the disk more, and is kept rare. */
const SHARES: Partial<Readonly<Record<Network, number>>> = {
  ...{ clear: 12, wrapped: 6, asynchronous: 1, largeKek: 1, kekOnly: 1 },
}

/** How often each network asks. */
export const NETWORK_SHARES: readonly (readonly [number, Network])[] = NETWORKS.map((name) => [SHARES[name] ?? 3, name])

export interface Kek {
  readonly kind: KekKind
  readonly recipient: string
  readonly label: string
  readonly value: Buffer
}

export const KEKS: readonly Kek[] = PEER_NAMES.flatMap((name) => {
  const { kind, id, kekBytes }: Peer = PEERS[name]
  if (kekBytes === undefined) return []
  const value = new Random(0x6b656b, ...Buffer.from(id)).bytes(kekBytes)
  return [{ kind, recipient: id, label: `${kind}-kek-1`, value }]
})

export function peerOf(caller: Caller): Peer | undefined {
  return caller === 'stranger' || caller === 'nobody' ? undefined : PEERS[caller]
}

/** The NetID or AS-ID in whose name a caller calls. */
export function idOf(name: PeerName): string {
  return PEERS[name].id
}

/** Strangers, disabled peers and application servers are answered as the standard has it. */
export function dialectOf(caller: Caller): Dialect {
  return DIALECTS[(caller === 'disabled' ? undefined : peerOf(caller)?.dialect) ?? 'standard-1.0']
}

export function kekFor(recipient: string | undefined): Kek | undefined {
  return KEKS.find((kek) => kek.recipient === recipient)
}

/** NSID of the network server with this NetID, as far as it is known. */
export function nsIdOf(netId: string): string | undefined {
  const peers: readonly Peer[] = PEER_NAMES.map((name) => PEERS[name])
  return peers.find(({ kind, id }) => kind === 'ns' && id === netId)?.nsId
}

/** Whether there is a roaming agreement with this network, as the world below makes them: by JoinEUI alone. */
export function hasAgreement(caller: Caller, joinEui: string): boolean {
  const scope = AGREEMENTS.find(([name]) => name === caller)?.[1]
  if (scope === undefined) return false
  const bits = BigInt.asUintN(64, BigInt(`0x${joinEui}`) ^ BigInt(`0x${scope.joinEui}`))
  return bits >> BigInt(64 - scope.bits) === 0n
}

export const AGREEMENTS: readonly (readonly [Network, { readonly joinEui: string; readonly bits: number }])[] = [
  ['clear', { joinEui: '0000000000000000', bits: 0 }],
  ['wrapped', { joinEui: '8000000000000000', bits: 1 }],
  ['version11', { joinEui: '0000000000000000', bits: 0 }],
  ['chirpStack4', { joinEui: '0000000000000000', bits: 0 }],
  ['theThingsStack', { joinEui: '4000000000000000', bits: 2 }],
  ['asynchronous', { joinEui: '0000000000000000', bits: 0 }],
]
