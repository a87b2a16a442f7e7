import type { DevAddr, DevEui, JoinEui, NetId } from '@mortise/lorawan'
import type { Agreement, DirectoryChange, Peer, PeerKind, Route } from './directory-ports.ts'

/**
 * What the use-cases see of the database. Readers cannot write: a use-case that only looks gets a `…Reader`.
 * All ids are opaque bytes made by the CLI; all times are milliseconds since 1970.
 */

export const ID_BYTES = 16

/** Sessions of a key set that a commit keeps, newest first: those that an AppSKeyReq can still ask for. */
export const SESSIONS_KEPT = 10

/** Rows of one page or list; asking for more is a RangeError. */
export const MAX_PAGE_ROWS = 1000

export interface Kek {
  readonly kekId: Buffer
  readonly kind: PeerKind
  readonly recipient: string
  readonly label: string
  readonly kekVersion: number
  readonly size: number
  /** As the HSM tagged it. */
  readonly record: Buffer
  readonly createdAt: number
}

/** The last join that was accepted for a key set: what a duplicate is answered from, again and again the same. */
export interface LastJoin {
  /** SHA-256, first 16 bytes, over everything that the answer depends on. */
  readonly requestDigest: Buffer
  /** Of the last join-request: a rejoin has none. */
  readonly devNonce: number
  readonly joinNonce: number
  readonly sessionKeyId: Buffer
  readonly nsKekId: Buffer | undefined
  readonly asKekId: Buffer | undefined
  readonly netId: NetId
  readonly devAddr: DevAddr
  readonly joinedAt: number
}

/** Nonces of a key set; absent before its first join. */
export interface JoinState {
  /** Highest JoinNonce given out: also the version that a commit compares. */
  readonly lastJoinNonce: number
  /** Every DevNonce ever accepted, in the encoding of join/dev-nonces.ts. */
  readonly devNonces: Buffer
  /** The lowest RJcount1 that is still accepted, up to 65536. */
  readonly nextRjCount1: number
  readonly last: LastJoin
  /** All of it as it is stored, sessions included: opaque, for commits. */
  readonly stored: Buffer
}

/** One generation of a device's root keys under one JoinEUI, as a join needs it. */
export interface JoinKeySet {
  /** Row number: opaque, for commits. */
  readonly keySet: number
  readonly generation: number
  /** The device record as the HSM tagged it. */
  readonly record: Buffer
  readonly state: JoinState | undefined
}

export interface KeySet extends JoinKeySet {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  /** What is stored of its joins is not what was written: there is no state, and a join is refused. */
  readonly noncesDamaged: boolean
}

export interface Device {
  readonly deviceId: Buffer
  readonly createdAt: number
  /** False for a key made by the HSM that has not left for the device yet. */
  readonly keysDelivered: boolean
  readonly keySets: readonly KeySet[]
}

export interface Session {
  readonly sessionKeyId: Buffer
  readonly joinNonce: number
  readonly netId: NetId
  readonly devAddr: DevAddr
  readonly createdAt: number
  /** The session record as the HSM tagged it. */
  readonly record: Buffer
}

/** Look-ups of the join path: by key, never by scan. */
export interface JoinReader {
  /** Key sets of devices that are not removed; usually one. */
  findKeySets(joinEui: JoinEui, devEui: DevEui): JoinKeySet[]
  /** The recipient's KEK with the highest version. */
  newestKek(kind: PeerKind, recipient: string): Kek | undefined
  findKek(kekId: Buffer): Kek | undefined
  findSession(keySet: number, sessionKeyId: Buffer): Session | undefined
}

/** A join to make durable: compare-and-set on the JoinNonce, with its session and receipt. */
export interface JoinCommit {
  readonly keySet: number
  /** What the decision was made on. */
  readonly previous: JoinState | undefined
  readonly devNonces: Buffer
  readonly nextRjCount1: number
  readonly last: LastJoin
  readonly sessionRecord: Buffer
  readonly receipt: Buffer
}

/** One unit of a commit batch: a join, or a receipt alone (a duplicate's, a lost compare-and-set's, an AppSKeyReq's). */
export type CommitItem = { readonly join: JoinCommit } | { readonly receipt: Buffer }

export interface JoinWriter {
  /**
   * Commits all items in one durable transaction; resolves after the fsync. For each item whether it was `committed` or
   * `lost` its compare-and-set; the receipt of a lost one is committed all the same. Items of one batch may concern the
   * same key set. Keeps the newest `SESSIONS_KEPT` sessions of a key set.
   */
  commit(items: readonly CommitItem[]): Promise<('committed' | 'lost')[]>
}

export const ORDER_STATES = ['waiting', 'adopted', 'refused'] as const
export type OrderState = (typeof ORDER_STATES)[number]

/** A signed order as it was submitted. The envelope is deleted once the order is settled. */
export interface StoredOrder {
  readonly orderId: number
  readonly signer: Buffer
  readonly sequence: number
  readonly text: Buffer
  readonly signatures: readonly { readonly signer: Buffer; readonly signature: Buffer }[]
  readonly envelope: Buffer | undefined
  /** Client certificates (PEM) that `peer.add` changes name by fingerprint. */
  readonly certificates: readonly string[]
  readonly state: OrderState
  /** Why it was refused. */
  readonly code: string | undefined
  readonly detail: string | undefined
  readonly submittedAt: number
  readonly settledAt: number | undefined
}

export type NewOrder = Pick<StoredOrder, 'signer' | 'sequence' | 'text' | 'signatures' | 'envelope' | 'certificates'>

/** What an adopted order changes, in the order of its changes. */
export type AdoptedChange =
  | {
      readonly kind: 'device-added'
      readonly deviceId: Buffer
      readonly devEui: DevEui
      readonly joinEui: JoinEui
      readonly generation: number
      readonly keysDelivered: boolean
      readonly record: Buffer
      /** SHA-256 (first 16 bytes) of the root key blob that joins use: equal for equal root keys. */
      readonly keyDigest: Buffer
    }
  | { readonly kind: 'device-changed'; readonly deviceId: Buffer; readonly record: Buffer }
  | { readonly kind: 'device-removed'; readonly deviceId: Buffer; readonly keyDigest: Buffer }
  | { readonly kind: 'kek-added'; readonly kek: Kek }
  | { readonly kind: 'kek-removed'; readonly kekId: Buffer }
  | DirectoryChange

export interface OrderOutcome {
  readonly changes: readonly AdoptedChange[]
  readonly receipt: Buffer
  /** Epoch of the HSM's store after the order. */
  readonly epoch: number
}

export interface ApiKey {
  readonly apiKeyId: string
  readonly name: string
  /** SHA-256 of the token. */
  readonly tokenHash: Buffer
  readonly createdAt: number
  readonly revokedAt: number | undefined
}

export interface Page {
  /** `deviceId` (hex) of the last device of the page before; undefined for the first page. */
  readonly after: string | undefined
  readonly limit: number
}

export interface AdministrationReader {
  organisationId(): Buffer
  listPeers(): Peer[]
  /** By network server; those of a peer that was removed are gone with it. */
  listAgreements(): Agreement[]
  /** In order of their prefixes. */
  listRoutes(): Route[]
  listKeks(): Kek[]
  findKek(kekId: Buffer): Kek | undefined
  /** In order of DevEUI, a page at a time. */
  listDevices(page: Page): Device[]
  findDevices(devEui: DevEui): Device[]
  findDevice(deviceId: Buffer): Device | undefined
  countDevices(): number
  /** Newest first. */
  listSessions(keySet: number): Session[]
  /** Waiting orders in the order of their submission, settled ones newest first. */
  listOrders(state: OrderState, limit: number): StoredOrder[]
  findOrder(orderId: number): StoredOrder | undefined
  highestSequence(signer: Buffer): number
  /** Highest epoch of the HSM's store that a commit has seen; 0 at first. */
  hsmEpoch(): number
  /** Whose orders are admitted: Ed25519, SPKI, DER. Undefined in a database that was made before it was kept there. */
  operatorPublicKey(): Buffer | undefined
  listApiKeys(): ApiKey[]
  findApiKey(tokenHash: Buffer): ApiKey | undefined
}

/** A signed receipt head: how far a chain of receipts reaches, and with which hash. */
export interface ReceiptHeadRow {
  readonly bootEpoch: number
  readonly worker: number
  readonly sequence: number
  readonly hash: Buffer
  readonly closing: boolean
  readonly signature: Buffer
}

export interface AdministrationWriter {
  /** @throws StorageError order_sequence_taken unless the sequence number is above every one of this signer's */
  submitOrder(order: NewOrder): Promise<StoredOrder>
  /**
   * Everything that an adopted order changes, its receipt and the epoch, in one durable transaction.
   * @throws StorageError device_exists, kek_exists, peer_exists, agreement_exists, route_exists, row_missing (a change
   *   names what is not there, or the order does not wait); the order then still waits
   */
  adoptOrder(orderId: number, outcome: OrderOutcome): Promise<void>
  /** @throws StorageError row_missing when no such order waits */
  refuseOrder(orderId: number, code: string, detail: string | undefined): Promise<void>
  createApiKey(key: ApiKey): Promise<void>
  /** False when there is no such key, or it was revoked before. */
  revokeApiKey(apiKeyId: string): Promise<boolean>
  /** Heads of chains; those already there are left as they are. */
  recordHeads(heads: readonly ReceiptHeadRow[]): Promise<void>
  /** A lower one than the highest leaves it as it is. */
  recordHsmEpoch(epoch: number): Promise<void>
  /** SPKI, DER. Takes the place of the one before. */
  recordOperatorPublicKey(spki: Buffer): Promise<void>
}

/** A request that was acknowledged, and is answered by a message of its own. */
export interface DeferredRequest {
  readonly requestId: number
  readonly peerId: Buffer
  readonly receivedAt: number
  /** The Backend Interfaces message as it came. */
  readonly body: Buffer
}

export interface DeferredRequests {
  /** Its number, when it is durable. */
  add(request: Omit<DeferredRequest, 'requestId'>): Promise<number>
  remove(requestId: number): Promise<void>
  /** Oldest first. */
  list(): DeferredRequest[]
}

/** Failures of the database that a caller can act on. */
export type StorageErrorCode =
  | 'database_locked'
  | 'database_newer'
  /** Opened for reading only, and it would have to be migrated first. */
  | 'database_older'
  | 'database_corrupt'
  | 'database_missing'
  | 'database_exists'
  | 'database_not_durable'
  | 'database_read_only'
  /** The write-ahead log of a database that was not closed is gone, and with it commits that were answered. */
  | 'database_log_missing'
  /** A commit that this directory has seen is not in the database. */
  | 'database_rolled_back'
  | 'order_sequence_taken'
  | 'device_exists'
  | 'kek_exists'
  | 'peer_exists'
  | 'agreement_exists'
  | 'route_exists'
  | 'row_missing'
  | 'disk_full'
  | 'disk_failed'
  /** Anything else that the database reports; the message has its text. */
  | 'database_failed'

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? code : `${code}: ${detail}`, options)
    this.code = code
  }
}

/** An open database. */
export interface Storage extends Disposable {
  /** Why commits are refused now; undefined while they work. */
  readonly failure: StorageError | undefined
  readonly joins: JoinReader & JoinWriter
  readonly administration: AdministrationReader & AdministrationWriter
  readonly deferred: DeferredRequests
}
