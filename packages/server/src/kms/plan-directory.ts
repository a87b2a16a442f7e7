import type {
  AgreementChange,
  AgreementScope,
  DirectoryChange,
  PeerAdd,
  PeerSet,
  RouteAdd,
  RouteRemove,
} from '@mortise/hsm'
import { formatJoinEuiPrefix, type JoinEuiPrefix } from '@mortise/lorawan'
import type { AdministrationReader, Peer } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'
import { DirectoryState, type DirectoryStep } from './directory-state.ts'
import type { OrderCertificates } from './peer-certificates.ts'
import { CredentialPlanner } from './plan-credentials.ts'
import { changedSettings, newSettings } from './peer-settings.ts'

/** Agreements of all network servers together: all are kept in memory. */
export const MAX_AGREEMENTS = 10_000

/** All are kept in memory, and read again after every order that changes one. */
export const MAX_PEERS = 2000

/** Each has connections, a certificate and a key file of its own. */
export const MAX_ROUTES = 500

/** Plans changes of peers, agreements and routes: what is refused, is refused by what the changes before it left. */
export class DirectoryPlanner {
  readonly #state: DirectoryState
  readonly #certificates: OrderCertificates
  readonly #credentials: CredentialPlanner

  constructor(storage: AdministrationReader, certificates: OrderCertificates) {
    this.#state = new DirectoryState(storage)
    this.#certificates = certificates
    this.#credentials = new CredentialPlanner(this.#state, certificates)
  }

  /**
   * @throws AdministrationError peer_exists, peer_unknown, peer_limit, peer_settings_invalid, certificate_mismatch,
   *   certificate_unknown, certificate_limit, certificate_last, certificate_not_authority, token_unknown, token_limit,
   *   token_last, token_header_reserved, agreement_exists, agreement_unknown, agreement_limit, route_exists,
   *   route_unknown, route_limit, order_record_mismatch
   */
  plan(change: DirectoryChange): DirectoryStep {
    switch (change.action) {
      case 'peer.add':
        return this.#addPeer(change)
      case 'peer.set':
        return this.#setPeer(change)
      case 'peer.disable': {
        const { peerId } = this.#state.findPeer(change)
        return () => ({ kind: 'peer-disabled', peerId })
      }
      case 'peer.remove': {
        const { peerId } = this.#state.findPeer(change)
        this.#state.removePeer(peerId)
        return () => ({ kind: 'peer-removed', peerId })
      }
      case 'peer.certificate.add':
        return this.#credentials.addCertificate(change)
      case 'peer.certificate.remove':
        return this.#credentials.removeCertificate(change)
      case 'peer.token.add':
        return this.#credentials.addToken(change)
      case 'peer.token.remove':
        return this.#credentials.removeToken(change)
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
    const peer: Peer = {
      ...{ peerId: idOf(change.peer), kind, id, ...newSettings(change), disabled: false, createdAt: 0 },
      ...this.#credentials.ofNewPeer(change),
    }
    this.#refuseKnownPeer(peer)
    if (this.#state.peers.length >= MAX_PEERS) throw new AdministrationError('peer_limit', `${MAX_PEERS} are kept`)
    this.#state.setPeer(peer)
    return (createdAt) => {
      const certificates = peer.certificates.map((certificate) => ({ ...certificate, addedAt: createdAt }))
      const tokens = peer.tokens.map((token) => ({ ...token, addedAt: createdAt }))
      return { kind: 'peer-added', peer: { ...peer, certificates, tokens, createdAt } }
    }
  }

  #refuseKnownPeer({ peerId, kind, id }: Peer): void {
    for (const known of this.#state.peers) {
      if (known.peerId.equals(peerId)) throw new AdministrationError('peer_exists', peerId.toString('hex'))
      if (known.kind === kind && known.id === id) throw new AdministrationError('peer_exists', `${kind} ${id}`)
    }
  }

  #setPeer(change: PeerSet): DirectoryStep {
    const peer = this.#state.findPeer(change)
    const settings = changedSettings(peer, change)
    this.#state.setPeer({ ...peer, ...settings })
    return () => ({ kind: 'peer-changed', peerId: peer.peerId, settings })
  }

  #addAgreement(change: AgreementChange): DirectoryStep {
    const { peerId } = this.#state.findPeer(change)
    const scope = scopeOf(change)
    if (!this.#state.addAgreement(peerId, scope))
      throw new AdministrationError('agreement_exists', describeScope(change))
    if (this.#state.agreements > MAX_AGREEMENTS)
      throw new AdministrationError('agreement_limit', `${MAX_AGREEMENTS} are kept`)
    return (addedAt) => ({ kind: 'agreement-added', peerId, scope, addedAt })
  }

  #removeAgreement(change: AgreementChange): DirectoryStep {
    const { peerId } = this.#state.findPeer(change)
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
    if (this.#state.routes > MAX_ROUTES) throw new AdministrationError('route_limit', `${MAX_ROUTES} are kept`)
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
