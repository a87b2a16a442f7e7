import type { DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import type { KekKind, KekSize } from '../records/kek-record.ts'
import type { DirectoryChange } from './peer-changes.ts'

/**
 * A signed operation: what an operator (later: custodians and owners) wants changed, as canonical text
 * (docs/adr/003-orders.md). Ids are lower-case hex. Keys are not in it: a change names an index of the envelope, whose
 * SHA-256 is.
 */
export const ORDER_FORMAT = 'mortise-order-1'
export const MAX_ORDER_CHANGES = 500
export const MAX_ORDER_BYTES = 1024 * 1024
/** Sequence numbers and epochs have six bytes on the socket, and room to go on above the highest one ordered. */
export const MAX_ORDER_NUMBER = 2 ** 47
/** Record version named by the removal of a record: nothing is accepted any more. */
export const REMOVED = 0xffffffff

export interface Order {
  readonly format: typeof ORDER_FORMAT
  /** Id of the HSM that is to carry it out, 16 hex digits. */
  readonly hsm: string
  /** Id of the signing key, 32 hex digits. */
  readonly signer: string
  /** Rises with every order of a signer; gaps are allowed. */
  readonly sequence: number
  /** RFC 3339, UTC, with milliseconds; for people. */
  readonly issuedAt: string
  /** SHA-256 of the envelope, 64 hex digits; absent when no key comes in. */
  readonly envelope?: string
  readonly changes: readonly Change[]
}

/** Where a new root key comes from: an index of the envelope, or made inside the HSM. */
export type RootKeySource = number | 'generate'

export interface DevicePolicy {
  readonly applicationServers: readonly string[]
  readonly networkIsApplicationServer: boolean
  readonly networks: readonly NetId[]
}

export interface DeviceAdd extends DevicePolicy {
  readonly action: 'device.add'
  readonly device: string
  readonly owner: string
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  readonly appKey: RootKeySource
  /** Exactly for LoRaWAN 1.1. */
  readonly nwkKey?: RootKeySource
}

/**
 * A device as an order names it: the id is the server's word, so the EUIs that the operator meant stand beside it and the
 * HSM compares them. A taken-over server cannot pass one device off as another.
 */
export interface DeviceReference {
  readonly device: string
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  /** The record version that this change replaces. */
  readonly replaces: number
}

/** What a policy has absent stays as the device's record says. */
export interface DeviceSet extends DeviceReference, Partial<DevicePolicy> {
  readonly action: 'device.set'
}

export interface DeviceRemove extends DeviceReference {
  readonly action: 'device.remove'
}

export interface KekSet {
  readonly action: 'kek.set'
  readonly kek: string
  readonly kind: KekKind
  readonly recipient: string
  readonly owner: string
  readonly label: string
  readonly size: KekSize
  /** Index of the envelope. */
  readonly key: number
}

export interface KekRemove {
  readonly action: 'kek.remove'
  readonly kek: string
  /** What the operator meant; the HSM compares it with the record. */
  readonly kind: KekKind
  readonly recipient: string
  readonly label: string
  readonly replaces: number
}

/** Accepts a sealed store that is older than what the database knows: the operator restored it on purpose. */
export interface EpochAccept {
  readonly action: 'epoch.accept'
  /** The epoch that the database knows; the store continues above it. */
  readonly epoch: number
}

export type Change = DeviceAdd | DeviceSet | DeviceRemove | KekSet | KekRemove | DirectoryChange | EpochAccept
