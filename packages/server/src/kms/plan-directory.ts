import type {
  AgreementChange,
  AgreementScope,
  DirectoryChange,
  PeerAdd,
  PeerCertificateChange,
  PeerReference,
  PeerSet,
  RouteAdd,
  RouteRemove,
} from '@mortise/hsm'
import { formatJoinEuiPrefix, type JoinEuiPrefix } from '@mortise/lorawan'
import type { AdministrationReader, AdoptedChange, Peer, PeerAuthority, PeerCertificate } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'
import { DirectoryState } from './directory-state.ts'
import type { OrderCertificates } from './peer-certificates.ts'
import { changedSettings, newSettings } from './peer-settings.ts'

/** Certificates of one peer, while it changes from one to another. */
export const MAX_PEER_CERTIFICATES = 4
/** Agreements of all network servers together: all are kept in memory. */
export const MAX_AGREEMENTS = 10_000

/** What a change becomes when it is adopted. */
export type DirectoryStep = (nowMs: number) => AdoptedChange

/** Plans changes of peers, agreements and routes: what is refused, is refused by what the changes before it left. */
export class DirectoryPlanner {
  readonly #state: DirectoryState
  readonly #certificates: OrderCertificates

  constructor(storage: AdministrationReader, certificates: OrderCertificates) {
    this.#state = new DirectoryState(storage)
    this.#certificates = certificates
  }

  /**
   * @throws AdministrationError peer_exists, peer_unknown, peer_settings_invalid, certificate_mismatch,
   *   certificate_unknown, certificate_limit, certificate_last, certificate_not_authority, agreement_exists,
   *   agreement_unknown, agreement_limit, route_exists, route_unknown, order_record_mismatch
   */
  plan(change: DirectoryChange): DirectoryStep {
    switch (change.action) {
      case 'peer.add':
        return this.#addPeer(change)
      case 'peer.set':
        return this.#setPeer(change)
      case 'peer.disable': {
        const { peerId } = this.#findPeer(change)
        return () => ({ kind: 'peer-disabled', peerId })
      }
      case 'peer.remove': {
        const { peerId } = this.#findPeer(change)
        this.#state.removePeer(peerId)
        return () => ({ kind: 'peer-removed', peerId })
      }
      case 'peer.certificate.add':
        return this.#addCertificate(change)
      case 'peer.certificate.remove':
        return this.#removeCertificate(change)
      case 'agreement.add':
        return this.#addAgreement(change)
      case 'agreement.remove':
        return this.#removeAgreement(change)
      case 'route.add':
        return this.#addRoute(change)
      case 'route.remove':
        return this.#removeRoute(change)
    }
  }

  #addPeer(change: PeerAdd): DirectoryStep {
    const { kind, id } = change
    const pinned = change.certificate === undefined ? [] : [this.#takeCertificate(change.certificate)]
    const peer: Peer = {
      ...{ peerId: idOf(change.peer), kind, id, ...newSettings(change), disabled: false, createdAt: 0 },
      certificates: pinned,
      authority: this.#authorityOf(change),
    }
    this.#refuseKnownPeer(peer)
    this.#state.setPeer(peer)
    return (createdAt) => {
      const certificates = pinned.map((certificate) => ({ ...certificate, addedAt: createdAt }))
      return { kind: 'peer-added', peer: { ...peer, certificates, createdAt } }
    }
  }

  #authorityOf({ authority, name }: PeerAdd): PeerAuthority | undefined {
    if (authority === undefined || name === undefined) return undefined
    const { fingerprint, pem, isAuthority } = this.#certificates.take(authority)
    if (!isAuthority) throw new AdministrationError('certificate_not_authority', fingerprint)
    return { fingerprint, name, pem }
  }

  #refuseKnownPeer({ peerId, kind, id, certificates, authority }: Peer): void {
    for (const known of this.#state.peers) {
      if (known.peerId.equals(peerId)) throw new AdministrationError('peer_exists', peerId.toString('hex'))
      if (known.kind === kind && known.id === id) throw new AdministrationError('peer_exists', `${kind} ${id}`)
      if (authority !== undefined && known.authority !== undefined && areSame(authority, known.authority))
        throw new AdministrationError('peer_exists', `${known.kind} ${known.id} has this CA and name`)
    }
    for (const certificate of certificates) this.#refuseKnownCertificate(certificate)
  }

  /** A certificate means one peer, or the listener could not tell who calls. */
  #refuseKnownCertificate({ fingerprint }: PeerCertificate): void {
    const known = this.#state.peers.find(({ certificates }) => hasCertificate(certificates, fingerprint))
    if (known !== undefined)
      throw new AdministrationError('peer_exists', `${known.kind} ${known.id} has this certificate`)
  }

  #setPeer(change: PeerSet): DirectoryStep {
    const peer = this.#findPeer(change)
    const settings = changedSettings(peer, change)
    this.#state.setPeer({ ...peer, ...settings })
    return () => ({ kind: 'peer-changed', peerId: peer.peerId, settings })
  }

  #addCertificate(change: PeerCertificateChange): DirectoryStep {
    const peer = this.#findPeer(change)
    const certificate = this.#takeCertificate(change.certificate)
    this.#refuseKnownCertificate(certificate)
    const certificates = [...peer.certificates, certificate]
    if (certificates.length > MAX_PEER_CERTIFICATES)
      throw new AdministrationError('certificate_limit', `${MAX_PEER_CERTIFICATES} are accepted`)
    this.#state.setPeer({ ...peer, certificates })
    const { peerId } = peer
    return (addedAt) => ({ kind: 'peer-certificate-added', peerId, certificate: { ...certificate, addedAt } })
  }

  #removeCertificate(change: PeerCertificateChange): DirectoryStep {
    const { certificate: fingerprint } = change
    const peer = this.#findPeer(change)
    if (!hasCertificate(peer.certificates, fingerprint))
      throw new AdministrationError('certificate_unknown', fingerprint)
    const certificates = peer.certificates.filter((certificate) => certificate.fingerprint !== fingerprint)
    if (certificates.length === 0 && peer.authority === undefined)
      throw new AdministrationError('certificate_last', fingerprint)
    this.#state.setPeer({ ...peer, certificates })
    return () => ({ kind: 'peer-certificate-removed', peerId: peer.peerId, fingerprint })
  }

  #addAgreement(change: AgreementChange): DirectoryStep {
    const { peerId } = this.#findPeer(change)
    const scope = scopeOf(change)
    if (!this.#state.addAgreement(peerId, scope))
      throw new AdministrationError('agreement_exists', describeScope(change))
    if (this.#state.agreements > MAX_AGREEMENTS)
      throw new AdministrationError('agreement_limit', `${MAX_AGREEMENTS} are kept`)
    return (addedAt) => ({ kind: 'agreement-added', peerId, scope, addedAt })
  }

  #removeAgreement(change: AgreementChange): DirectoryStep {
    const { peerId } = this.#findPeer(change)
    const scope = scopeOf(change)
    if (!this.#state.removeAgreement(peerId, scope))
      throw new AdministrationError('agreement_unknown', describeScope(change))
    return () => ({ kind: 'agreement-removed', peerId, scope })
  }

  #addRoute(change: RouteAdd): DirectoryStep {
    const { url, protocol } = change
    const prefix = prefixOf(change)
    const { pem: certificatePem } = this.#certificates.take(change.certificate)
    const { pem: authorityPem } = this.#certificates.take(change.authority)
    const route = { routeId: idOf(change.route), prefix, url, protocol, certificatePem, authorityPem, createdAt: 0 }
    if (!this.#state.addRoute(route)) throw new AdministrationError('route_exists', formatJoinEuiPrefix(prefix))
    return (createdAt) => ({ kind: 'route-added', route: { ...route, createdAt } })
  }

  #removeRoute(change: RouteRemove): DirectoryStep {
    const routeId = idOf(change.route)
    const found = this.#state.takeRoute(routeId)
    if (found === undefined) throw new AdministrationError('route_unknown', change.route)
    const meant = formatJoinEuiPrefix(change)
    if (formatJoinEuiPrefix(found.prefix) !== meant) throw new AdministrationError('order_record_mismatch', meant)
    return () => ({ kind: 'route-removed', routeId })
  }

  /** By its id, and under the name that the operator meant. */
  #findPeer({ peer, kind, id }: PeerReference): Peer {
    const found = this.#state.peers.find((known) => known.peerId.equals(idOf(peer)))
    if (found === undefined) throw new AdministrationError('peer_unknown', peer)
    if (found.kind !== kind || found.id !== id) throw new AdministrationError('order_record_mismatch', `${kind} ${id}`)
    return found
  }

  /** When it is added, is known when the order is adopted. */
  #takeCertificate(named: string): PeerCertificate {
    const { fingerprint, subject, notBefore, notAfter } = this.#certificates.take(named)
    return { fingerprint, subject, notBefore, notAfter, addedAt: 0 }
  }
}

function hasCertificate(certificates: readonly PeerCertificate[], fingerprint: string): boolean {
  return certificates.some((certificate) => certificate.fingerprint === fingerprint)
}

/** Names of the domain name system are the same in upper and lower case. */
function areSame(one: PeerAuthority, other: PeerAuthority): boolean {
  return one.fingerprint === other.fingerprint && one.name.toLowerCase() === other.name.toLowerCase()
}

function scopeOf(change: AgreementChange): AgreementScope {
  return 'devEui' in change ? { devEui: change.devEui } : prefixOf(change)
}

function prefixOf({ joinEui, bits }: JoinEuiPrefix): JoinEuiPrefix {
  return { joinEui, bits }
}

function describeScope(change: AgreementChange): string {
  const devices = 'devEui' in change ? `DevEUI ${change.devEui}` : `JoinEUI ${formatJoinEuiPrefix(change)}`
  return `${change.kind} ${change.id}, ${devices}`
}

function idOf(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}
