import { isAuthorizationHeader } from '@mortise/backend-interfaces'
import type { NamedToken, PeerAdd, PeerCertificateChange, PeerTokenAdd, PeerTokenRemove } from '@mortise/hsm'
import type { Peer, PeerAuthority, PeerCertificate, PeerToken } from '../storage/index.ts'
import type { DirectoryState, DirectoryStep } from './directory-state.ts'
import { AdministrationError } from './errors.ts'
import type { OrderCertificates } from './peer-certificates.ts'

/** Certificates of one peer, while it changes from one to another; and tokens, likewise. */
export const MAX_PEER_CERTIFICATES = 4
export const MAX_PEER_TOKENS = 4

/** What a peer is known by. */
export type Credentials = Pick<Peer, 'certificates' | 'authority' | 'tokens'>

/** Plans what peers are known by: each certificate, each CA with a name, and each token means one peer. */
export class CredentialPlanner {
  readonly #state: DirectoryState
  readonly #certificates: OrderCertificates

  constructor(state: DirectoryState, certificates: OrderCertificates) {
    this.#state = state
    this.#certificates = certificates
  }

  /**
   * What a new peer is known by; when it was added, is known when the order is adopted.
   * @throws AdministrationError peer_exists, certificate_mismatch, certificate_not_authority, token_header_reserved
   */
  ofNewPeer({ certificate, authority, name, token, header }: PeerAdd): Credentials {
    if (authority !== undefined && name !== undefined)
      return { certificates: [], authority: this.#takeAuthority(authority, name), tokens: [] }
    const certificates = certificate === undefined ? [] : [this.#takeCertificate(certificate)]
    const tokens = token === undefined || header === undefined ? [] : [this.#takeToken({ token, header })]
    return { certificates, authority: undefined, tokens }
  }

  /** @throws AdministrationError peer_exists, certificate_mismatch, certificate_limit, and what findPeer throws */
  addCertificate(change: PeerCertificateChange): DirectoryStep {
    const peer = this.#state.findPeer(change)
    const certificate = this.#takeCertificate(change.certificate)
    const certificates = [...peer.certificates, certificate]
    if (certificates.length > MAX_PEER_CERTIFICATES)
      throw new AdministrationError('certificate_limit', `${MAX_PEER_CERTIFICATES} are accepted`)
    this.#state.setPeer({ ...peer, certificates })
    const { peerId } = peer
    return (addedAt) => ({ kind: 'peer-certificate-added', peerId, certificate: { ...certificate, addedAt } })
  }

  /** @throws AdministrationError certificate_unknown, certificate_last, and what findPeer throws */
  removeCertificate(change: PeerCertificateChange): DirectoryStep {
    const { certificate: fingerprint } = change
    const peer = this.#state.findPeer(change)
    if (!hasCertificate(peer, fingerprint)) throw new AdministrationError('certificate_unknown', fingerprint)
    const certificates = peer.certificates.filter((certificate) => certificate.fingerprint !== fingerprint)
    const left = { ...peer, certificates }
    if (isNobody(left)) throw new AdministrationError('certificate_last', fingerprint)
    this.#state.setPeer(left)
    return () => ({ kind: 'peer-certificate-removed', peerId: peer.peerId, fingerprint })
  }

  /** @throws AdministrationError peer_exists, token_header_reserved, token_limit, and what findPeer throws */
  addToken(change: PeerTokenAdd): DirectoryStep {
    const peer = this.#state.findPeer(change)
    const token = this.#takeToken(change)
    const tokens = [...peer.tokens, token]
    if (tokens.length > MAX_PEER_TOKENS) throw new AdministrationError('token_limit', `${MAX_PEER_TOKENS} are accepted`)
    this.#state.setPeer({ ...peer, tokens })
    const { peerId } = peer
    return (addedAt) => ({ kind: 'peer-token-added', peerId, token: { ...token, addedAt } })
  }

  /** @throws AdministrationError token_unknown, token_last, and what findPeer throws */
  removeToken(change: PeerTokenRemove): DirectoryStep {
    const { token: digest } = change
    const peer = this.#state.findPeer(change)
    if (!hasToken(peer, digest)) throw new AdministrationError('token_unknown', digest)
    const left = { ...peer, tokens: peer.tokens.filter((token) => token.digest !== digest) }
    if (isNobody(left)) throw new AdministrationError('token_last', digest)
    this.#state.setPeer(left)
    return () => ({ kind: 'peer-token-removed', peerId: peer.peerId, digest })
  }

  #takeCertificate(named: string): PeerCertificate {
    const { fingerprint, subject, notBefore, notAfter } = this.#certificates.take(named)
    this.#refuseKnown((peer) => hasCertificate(peer, fingerprint), 'this certificate')
    return { fingerprint, subject, notBefore, notAfter, addedAt: 0 }
  }

  #takeAuthority(named: string, name: string): PeerAuthority {
    const { fingerprint, pem, isAuthority } = this.#certificates.take(named)
    if (!isAuthority) throw new AdministrationError('certificate_not_authority', fingerprint)
    const authority = { fingerprint, name, pem }
    this.#refuseKnown((peer) => peer.authority !== undefined && areSame(authority, peer.authority), 'this CA and name')
    return authority
  }

  #takeToken({ token: digest, header }: NamedToken): PeerToken {
    if (!isAuthorizationHeader(header)) throw new AdministrationError('token_header_reserved', header)
    this.#refuseKnown((peer) => hasToken(peer, digest), 'this token')
    return { digest, header, addedAt: 0 }
  }

  /** It means one peer, or the listener could not tell who calls. */
  #refuseKnown(hasIt: (peer: Peer) => boolean, what: string): void {
    const known = this.#state.peers.find(hasIt)
    if (known !== undefined) throw new AdministrationError('peer_exists', `${known.kind} ${known.id} has ${what}`)
  }
}

function hasCertificate({ certificates }: Credentials, fingerprint: string): boolean {
  return certificates.some((certificate) => certificate.fingerprint === fingerprint)
}

function hasToken({ tokens }: Credentials, digest: string): boolean {
  return tokens.some((token) => token.digest === digest)
}

function isNobody({ certificates, authority, tokens }: Credentials): boolean {
  return certificates.length === 0 && authority === undefined && tokens.length === 0
}

/** Names of the domain name system are the same in upper and lower case. */
function areSame(one: PeerAuthority, other: PeerAuthority): boolean {
  return one.fingerprint === other.fingerprint && one.name.toLowerCase() === other.name.toLowerCase()
}
