import type { Agreement, CertificateFacts, Peer, Route } from '../storage/index.ts'
import type { AgreementView, AuthorityView, CertificateView, PeerView, RouteView } from './administration.ts'
import { readCertificate } from './peer-certificates.ts'

/** Peers, agreements and routes as an operator sees them. Certificates are shown by what they say, tokens by their digest. */

export function toPeerView(peer: Peer): PeerView {
  const { peerId, kind, id, nsId, protocol, dialect, asyncUrl, kekOnly, authority } = peer
  return {
    peerId: peerId.toString('hex'),
    kind,
    id,
    ...(nsId !== undefined && { nsId }),
    protocol,
    ...(kind === 'ns' && { dialect, kekOnly }),
    ...(asyncUrl !== undefined && { asyncUrl }),
    state: peer.disabled ? 'disabled' : 'active',
    certificates: peer.certificates.map((certificate) => ({
      ...toCertificateView(certificate),
      addedAt: isoTime(certificate.addedAt),
    })),
    ...(authority !== undefined && { authority: toAuthorityView(authority) }),
    tokens: peer.tokens.map(({ digest, header, addedAt }) => ({ digest, header, addedAt: isoTime(addedAt) })),
    createdAt: isoTime(peer.createdAt),
  }
}

export function toAgreementView({ peerId, netId, scope, addedAt }: Agreement): AgreementView {
  return { peerId: peerId.toString('hex'), netId, ...scope, addedAt: isoTime(addedAt) }
}

export function toRouteView({ routeId, prefix, url, protocol, ...route }: Route): RouteView {
  return {
    routeId: routeId.toString('hex'),
    joinEui: prefix.joinEui,
    bits: prefix.bits,
    url,
    protocol,
    certificate: toCertificateView(readCertificate(route.certificatePem)),
    authority: toCertificateView(readCertificate(route.authorityPem)),
    createdAt: isoTime(route.createdAt),
  }
}

function toAuthorityView({ name, pem }: NonNullable<Peer['authority']>): AuthorityView {
  return { name, ...toCertificateView(readCertificate(pem)) }
}

function toCertificateView({ fingerprint, subject, notBefore, notAfter }: CertificateFacts): CertificateView {
  return { fingerprint, subject, notBefore: isoTime(notBefore), notAfter: isoTime(notAfter) }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
