import type { DevEui, JoinEui } from '@mortise/lorawan'
import type { KekKind } from '../records/kek-record.ts'

/**
 * Changes of who may call, and of whom the server calls. They are the server's business: an order makes sure that an API
 * key alone cannot make one. The HSM checks their form, and does nothing.
 */

export const MAX_DIALECT_NAME_LENGTH = 32
export const MAX_URL_LENGTH = 512
/** Of a DNS name, RFC 1035 §2.3.4; what a common name may be long is less. */
export const MAX_CERTIFICATE_NAME_LENGTH = 253
export const MAX_TOKEN_HEADER_LENGTH = 64

/** An absolute https URL. With a password in it, a secret would stand in every list of peers. */
export function isOrderUrl(text: string): boolean {
  const isPrintable = /^https:\/\/[\x21-\x7e]+$/.test(text) && text.length <= MAX_URL_LENGTH
  if (!isPrintable || /[#\\]/.test(text) || !URL.canParse(text)) return false
  const { username, password } = new URL(text)
  return username === '' && password === ''
}

/**
 * Printable ASCII, single spaces inside. No dot comes first, and there is no asterisk: a name means one name, and nowhere
 * all below a domain.
 */
export function isCertificateName(text: string): boolean {
  const isOne = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(text) && !text.startsWith('.') && !text.includes('*')
  return isOne && text.length <= MAX_CERTIFICATE_NAME_LENGTH
}

/** The name of an HTTP header (RFC 9110 §5.1), in its one form: lower case. */
export function isTokenHeader(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(text) && text.length <= MAX_TOKEN_HEADER_LENGTH
}

/** How a network server is talked to; an application server has none of these. */
export interface PeerSettings {
  /** 16 lower-case hex digits. */
  readonly nsId?: string
  /** A name of the server's table; not known here. */
  readonly dialect?: string
  /** Where answers are posted to; https. */
  readonly asyncUrl?: string
  /** Network session keys leave under a KEK only. */
  readonly kekOnly?: boolean
}

/** A setting that is absent stays; `null` takes one away. */
export interface PeerSettingsChange {
  readonly nsId?: string | null
  readonly dialect?: string | null
  readonly asyncUrl?: string | null
  readonly kekOnly?: boolean | null
}

export const PEER_PROTOCOL_VERSIONS = ['1.0', '1.1'] as const
export type PeerProtocolVersion = (typeof PEER_PROTOCOL_VERSIONS)[number]

/** A peer as an order names it: the id is the server's word, beside it stands what the operator meant. */
export interface PeerReference {
  readonly peer: string
  readonly kind: KekKind
  /** NetID for `ns`, AS-ID for `as`. */
  readonly id: string
}

/** Has one of: `certificate`; `authority` and `name`, because an authority alone admits nobody; `token` and `header`. */
export interface PeerAdd extends PeerReference, PeerSettings {
  readonly action: 'peer.add'
  readonly protocol: PeerProtocolVersion
  /** SHA-256 of the client certificate (DER), 64 hex digits. */
  readonly certificate?: string
  /** SHA-256 of the certificate (DER) of the CA that issues the peer's, 64 hex digits. */
  readonly authority?: string
  /** DNS name that the peer's certificate must carry, or its common name where it has no alternative names. */
  readonly name?: string
  /** As in {@link NamedToken}. */
  readonly token?: string
  readonly header?: string
}

/** At least one setting. */
export interface PeerSet extends PeerReference, PeerSettingsChange {
  readonly action: 'peer.set'
  readonly protocol?: PeerProtocolVersion
}

export interface PeerChange extends PeerReference {
  readonly action: 'peer.disable' | 'peer.remove'
}

export interface PeerCertificateChange extends PeerReference {
  readonly action: 'peer.certificate.add' | 'peer.certificate.remove'
  /** SHA-256 of the client certificate (DER), 64 hex digits. */
  readonly certificate: string
}

/** A secret that a peer shows in a header of each request, where it can show no certificate. The secret is in no order. */
export interface NamedToken {
  /** SHA-256 of the header's value, 64 hex digits. */
  readonly token: string
  /** Name of the header, in lower case. */
  readonly header: string
}

export interface PeerTokenAdd extends PeerReference, NamedToken {
  readonly action: 'peer.token.add'
}

export interface PeerTokenRemove extends PeerReference, Pick<NamedToken, 'token'> {
  readonly action: 'peer.token.remove'
}

/** One device, or all whose JoinEUI has a prefix: 0 bits are all devices. Bits of `joinEui` behind the prefix are 0. */
export type AgreementScope = { readonly devEui: DevEui } | { readonly joinEui: JoinEui; readonly bits: number }

/** What a network server may learn: the home network of these devices. */
export type AgreementChange = PeerReference & {
  readonly action: 'agreement.add' | 'agreement.remove'
  readonly kind: 'ns'
} & AgreementScope

/** Join-requests of these JoinEUIs go to another join server. */
export interface RouteAdd {
  readonly action: 'route.add'
  /** 32 hex digits. */
  readonly route: string
  readonly joinEui: JoinEui
  readonly bits: number
  /** https */
  readonly url: string
  readonly protocol: PeerProtocolVersion
  /** SHA-256 of the client certificate (DER) that is shown there, 64 hex digits. */
  readonly certificate: string
  /** SHA-256 of the certificate (DER) of the CA that the other join server is checked against, 64 hex digits. */
  readonly authority: string
}

export interface RouteRemove {
  readonly action: 'route.remove'
  readonly route: string
  /** What the operator meant. */
  readonly joinEui: JoinEui
  readonly bits: number
}

/** Everything that changes nothing in the token. */
export type DirectoryChange =
  | PeerAdd
  | PeerSet
  | PeerChange
  | PeerCertificateChange
  | PeerTokenAdd
  | PeerTokenRemove
  | AgreementChange
  | RouteAdd
  | RouteRemove
