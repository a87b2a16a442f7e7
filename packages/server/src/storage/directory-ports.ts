import type { DialectName } from '@mortise/backend-interfaces'
import type { AgreementScope } from '@mortise/hsm'
import type { JoinEuiPrefix, NetId, NsId } from '@mortise/lorawan'

/** Who may call, what about others they may learn, and whom the server calls: what orders change beside keys. */

export const PEER_KINDS = ['ns', 'as'] as const
export type PeerKind = (typeof PEER_KINDS)[number]

export const PEER_PROTOCOLS = ['1.0', '1.1'] as const
export type PeerProtocol = (typeof PEER_PROTOCOLS)[number]

/** What is to be known of a certificate without reading it again. */
export interface CertificateFacts {
  /** SHA-256 of the certificate's DER, 64 lower-case hex digits. */
  readonly fingerprint: string
  readonly subject: string
  readonly notBefore: number
  readonly notAfter: number
}

/** A client certificate that is a peer's: this very one. */
export interface PeerCertificate extends CertificateFacts {
  readonly addedAt: number
}

/** Certificates that this CA issued to this name are the peer's, whichever they are. */
export interface PeerAuthority {
  /** SHA-256 of the DER of the CA's certificate, 64 lower-case hex digits. */
  readonly fingerprint: string
  /** DNS name, or common name of a certificate without alternative names. */
  readonly name: string
  readonly pem: string
}

/** A header with this value, on a connection without a peer's certificate, is the peer's. */
export interface PeerToken {
  /** SHA-256 of the header's value, 64 lower-case hex digits. The value itself is nowhere here. */
  readonly digest: string
  /** Name of the header, in lower case. */
  readonly header: string
  readonly addedAt: number
}

/** What `peer.set` can change. Application servers have the standard dialect, and none of what follows it. */
export interface PeerSettings {
  readonly protocol: PeerProtocol
  readonly dialect: DialectName
  readonly nsId: NsId | undefined
  /** https; answers are posted to it. */
  readonly asyncUrl: string | undefined
  /** Network session keys leave under a KEK only. */
  readonly kekOnly: boolean
}

/** A network server or an application server that may call the Backend Interfaces listener. */
export interface Peer extends PeerSettings {
  readonly peerId: Buffer
  readonly kind: PeerKind
  /** NetID (6 lower-case hex digits) for `ns`, AS-ID for `as`. */
  readonly id: string
  readonly disabled: boolean
  /** In the order in which they were added. A peer has a certificate, an authority or a token at least. */
  readonly certificates: readonly PeerCertificate[]
  readonly authority: PeerAuthority | undefined
  /** In the order in which they were added. */
  readonly tokens: readonly PeerToken[]
  readonly createdAt: number
}

/** What a network server may learn about devices of others. */
export interface Agreement {
  readonly peerId: Buffer
  readonly netId: NetId
  readonly scope: AgreementScope
  readonly addedAt: number
}

/** Where join-requests of JoinEUIs go that are another join server's. */
export interface Route {
  readonly routeId: Buffer
  readonly prefix: JoinEuiPrefix
  /** https */
  readonly url: string
  readonly protocol: PeerProtocol
  /** Of the client certificate that is shown there. Its private key is not in the database. */
  readonly certificatePem: string
  /** Of the CA that the other join server is checked against. */
  readonly authorityPem: string
  readonly createdAt: number
}

export type DirectoryChange =
  | { readonly kind: 'peer-added'; readonly peer: Peer }
  | { readonly kind: 'peer-changed'; readonly peerId: Buffer; readonly settings: PeerSettings }
  | { readonly kind: 'peer-disabled'; readonly peerId: Buffer }
  | { readonly kind: 'peer-removed'; readonly peerId: Buffer }
  | { readonly kind: 'peer-certificate-added'; readonly peerId: Buffer; readonly certificate: PeerCertificate }
  | { readonly kind: 'peer-certificate-removed'; readonly peerId: Buffer; readonly fingerprint: string }
  | { readonly kind: 'peer-token-added'; readonly peerId: Buffer; readonly token: PeerToken }
  | { readonly kind: 'peer-token-removed'; readonly peerId: Buffer; readonly digest: string }
  | {
      readonly kind: 'agreement-added'
      readonly peerId: Buffer
      readonly scope: AgreementScope
      readonly addedAt: number
    }
  | { readonly kind: 'agreement-removed'; readonly peerId: Buffer; readonly scope: AgreementScope }
  | { readonly kind: 'route-added'; readonly route: Route }
  | { readonly kind: 'route-removed'; readonly routeId: Buffer }
