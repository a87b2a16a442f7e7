import type { DialectName } from '@mortise/backend-interfaces'
import type { HsmClientState } from '@mortise/hsm'
import type { DevAddr, DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import type { NonceBehaviour } from '../join/index.ts'
import type { OrderState, PeerKind, PeerProtocol } from '../storage/index.ts'

/**
 * What an operator can do and see: the one interface that the management API and the offline commands share. Ids are
 * lower-case hex, times ISO 8601 in UTC. No view has a key, a key blob or a record.
 *
 * Whatever changes keys, recipients or peers is a signed order; every method throws AdministrationError.
 */
export interface Administration {
  status(): Promise<ServerStatus>
  /** Resolves when the order is adopted, or is stored and waits for the HSM; a refused order is an error. */
  submitOrder(order: SubmittedOrder): Promise<OrderReport>
  listPeers(): Promise<PeerView[]>
  /** By network server. */
  listAgreements(): Promise<AgreementView[]>
  /** In order of their prefixes. */
  listRoutes(): Promise<RouteView[]>
  /** Those of the server, of its CA, and of peers. */
  listCertificates(): Promise<InstalledCertificateView[]>
  listKeks(): Promise<KekView[]>
  /** In order of DevEUI. `next` is the `after` of the next page; absent on the last one. */
  listDevices(page: DevicePage): Promise<DeviceList>
  /** Empty when no device has this DevEUI; more than one when it is known under several JoinEUIs. */
  findDevices(devEui: DevEui): Promise<DeviceView[]>
  /** Waiting ones in the order in which they will be adopted, refused ones newest first. */
  listOrders(state: ListedOrderState, limit: number): Promise<OrderView[]>
  listApiKeys(): Promise<ApiKeyView[]>
  /** The token is shown this once and never again. */
  createApiKey(name: string): Promise<CreatedApiKey>
  /** False when there is no such key, or it was revoked before. */
  revokeApiKey(apiKeyId: string): Promise<boolean>
}

/** Orders of one list, devices of one page. */
export const MAX_LIST_ROWS = 1000
export const MAX_API_KEY_NAME_LENGTH = 64

export const LISTED_ORDER_STATES = ['waiting', 'refused'] as const satisfies OrderState[]
export type ListedOrderState = (typeof LISTED_ORDER_STATES)[number]

export interface SubmittedOrder {
  /** The canonical JSON that was signed. */
  readonly text: string
  readonly signatures: readonly SubmittedSignature[]
  /** The sealed envelope of the order's keys, as text. */
  readonly envelope?: string | undefined
  /** PEM, one for every certificate that a change names, of peers, CAs and routes. */
  readonly certificates?: readonly string[] | undefined
}

export interface SubmittedSignature {
  /** 32 hex digits. */
  readonly signer: string
  /** Ed25519, 128 hex digits. */
  readonly signature: string
}

export interface OrderReport {
  readonly orderId: number
  readonly state: 'adopted' | 'waiting'
}

export const HSM_STATES = ['ready', 'sealed', 'connecting', 'rolled-back', 'stopped'] as const
/** As the server's connection to the HSM stands; `stopped` where no server runs. */
export type HsmState = HsmClientState | 'stopped'

export interface HsmView {
  readonly state: HsmState
  /** These are absent until the HSM was first reached. */
  readonly hsmId?: string | undefined
  readonly backend?: 'soft' | 'pkcs11' | undefined
  readonly epoch?: number | undefined
  readonly workers?: number | undefined
  /** SHA-256 of the import key (SPKI, DER). */
  readonly importKeyThumbprint?: string | undefined
  /** Highest sequence number that the HSM has carried out for the operator key; 0 when unknown. */
  readonly lastSequence: number
  /** Highest epoch of the store that the database has seen; a store below it has been rolled back. */
  readonly knownEpoch: number
}

export interface ServerStatus {
  readonly version: string
  readonly running: boolean
  readonly organisationId: string
  readonly hsm: HsmView
  /** For the operator's next order. */
  readonly nextSequence: number
  readonly devices: number
  readonly waitingOrders: number
  /** The newest ones. */
  readonly refusedOrders: OrderView[]
  readonly warnings: string[]
}

export interface DevicePage {
  /** `deviceId` of the last device of the page before. */
  readonly after?: string | undefined
  readonly limit: number
}

export interface DeviceList {
  readonly devices: DeviceView[]
  readonly next?: string | undefined
}

export interface DeviceView {
  readonly deviceId: string
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  readonly keyGeneration: number
  readonly recordVersion: number
  readonly applicationServers: string[]
  readonly networkIsApplicationServer: boolean
  readonly networks: NetId[]
  /** False for a key made by the HSM that has not left for the device yet. */
  readonly keysDelivered: boolean
  readonly createdAt: string
  /** 0 before the first join. */
  readonly lastJoinNonce: number
  readonly lastDevNonce?: number | undefined
  /** How many DevNonces cannot be used any more. */
  readonly devNoncesUsed: number
  readonly nonces: NonceView
  readonly lastJoin?: SessionView | undefined
  /** Newest first. */
  readonly sessions: SessionView[]
}

/** How long the nonces of the device last. */
export interface NonceView {
  readonly behaviour: NonceBehaviour
  /** Of a counter, those above the last. */
  readonly devNoncesLeft: number
  readonly joinNoncesLeft: number
  /** How many joins both last for. */
  readonly joinsLeft: number
  /** Of a counter that has joined: above 1 where join-requests got lost. */
  readonly devNoncesPerJoin?: number | undefined
  /** 0 to 1: the chance that a random DevNonce was used before. */
  readonly refusalProbability?: number | undefined
  /** Join-requests that a random device sends for one that is accepted; absent when none is any more. */
  readonly triesPerJoin?: number | undefined
  /** Absent before the first join. */
  readonly joinsPerYear?: number | undefined
  /** When nothing is left; absent before the first join, and when that is more than 20 years away. */
  readonly exhaustedAt?: string | undefined
  /** What an operator should do something about: sentences. */
  readonly warnings: string[]
}

export interface SessionView {
  readonly netId: NetId
  readonly devAddr: DevAddr
  readonly sessionKeyId: string
  readonly at: string
}

export interface PeerView {
  readonly peerId: string
  readonly kind: PeerKind
  /** NetID for `ns`, AS-ID for `as`. */
  readonly id: string
  readonly nsId?: string | undefined
  readonly protocol: PeerProtocol
  /** These are a network server's. */
  readonly dialect?: DialectName | undefined
  readonly asyncUrl?: string | undefined
  readonly kekOnly?: boolean | undefined
  readonly state: 'active' | 'disabled'
  /** Each of them opens the door. */
  readonly certificates: PeerCertificateView[]
  /** What this CA issues to this name opens the door as well. */
  readonly authority?: AuthorityView | undefined
  /** Each of them opens the door where no certificate of a peer is shown. */
  readonly tokens: PeerTokenView[]
  readonly createdAt: string
}

export interface PeerTokenView {
  /** SHA-256 of the header's value, hex: the value itself is known to the peer alone. */
  readonly digest: string
  /** Name of the header, in lower case. */
  readonly header: string
  readonly addedAt: string
}

export interface CertificateView {
  /** SHA-256 of the DER. */
  readonly fingerprint: string
  readonly subject: string
  readonly notBefore: string
  readonly notAfter: string
}

export interface PeerCertificateView extends CertificateView {
  readonly addedAt: string
}

export interface AuthorityView extends CertificateView {
  /** That the peer's certificates carry. */
  readonly name: string
}

export type CertificateKind = 'server' | 'ca' | 'ns' | 'as' | 'route'

export const CERTIFICATE_STATES = ['valid', 'ends-soon', 'expired', 'not-yet-valid'] as const
export type CertificateState = (typeof CERTIFICATE_STATES)[number]

/** A certificate that the server shows, or that lets a peer in. */
export interface InstalledCertificateView extends CertificateView {
  readonly kind: CertificateKind
  /** Of a peer its NetID or AS-ID, of a route its prefix, of the server where the certificate is shown. */
  readonly id: string
  readonly names: string[]
  /** Not one that is shown, but of the CA that issues it. */
  readonly isAuthority: boolean
  readonly state: CertificateState
}

/** Of one device, or of all whose JoinEUI begins with the first `bits` bits of `joinEui`. */
export interface AgreementView {
  readonly peerId: string
  readonly netId: NetId
  readonly devEui?: DevEui | undefined
  readonly joinEui?: JoinEui | undefined
  readonly bits?: number | undefined
  readonly addedAt: string
}

export interface RouteView {
  readonly routeId: string
  readonly joinEui: JoinEui
  readonly bits: number
  readonly url: string
  readonly protocol: PeerProtocol
  /** What is shown there. */
  readonly certificate: CertificateView
  /** What the other join server is checked against. */
  readonly authority: CertificateView
  readonly createdAt: string
}

export interface KekView {
  readonly kekId: string
  readonly kind: PeerKind
  readonly recipient: string
  readonly label: string
  /** 1 for the recipient's first KEK; the highest one is used. */
  readonly version: number
  /** Bytes. */
  readonly size: number
  readonly recordVersion: number
  readonly createdAt: string
}

export interface OrderView {
  readonly orderId: number
  readonly signer: string
  readonly sequence: number
  readonly state: OrderState
  /** Why it was refused. */
  readonly code?: string | undefined
  readonly detail?: string | undefined
  readonly submittedAt: string
  readonly settledAt?: string | undefined
}

export interface ApiKeyView {
  readonly apiKeyId: string
  readonly name: string
  readonly createdAt: string
  readonly revokedAt?: string | undefined
}

export interface CreatedApiKey {
  readonly apiKeyId: string
  readonly token: string
}
