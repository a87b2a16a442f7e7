import type { AgreementView, PeerCertificateView, PeerTokenView, PeerView } from '@mortise/server'
import { table } from '../output.ts'
import { shortToken } from './tokens.ts'

/** `Network server 000013` */
export function titleOf({ kind, id }: Pick<PeerView, 'kind' | 'id'>): string {
  return `${kind === 'ns' ? 'Network server' : 'Application server'} ${id}`
}

export function describePeers(peers: readonly PeerView[]): string {
  if (peers.length === 0) return 'No peer may call yet: see `mortise peer add --help`.'
  const rows = peers.map((peer) => [
    peer.kind,
    peer.id,
    peer.dialect ?? '',
    peer.protocol,
    peer.state,
    describeUntil(peer),
    peer.tokens.map(shortToken).join(', '),
  ])
  return table(['KIND', 'ID', 'DIALECT', 'PROTOCOL', 'STATE', 'CERTIFICATE UNTIL', 'TOKENS'], rows)
}

/** `agreements` are the peer's own. */
export function describePeer(peer: PeerView, agreements: readonly AgreementView[]): string {
  const { peerId, nsId, protocol, dialect, asyncUrl, kekOnly, state, certificates, authority, tokens } = peer
  return [
    `${titleOf(peer)}: ${state}`,
    `  peer id      ${peerId}`,
    ...(nsId === undefined ? [] : [`  NSID         ${nsId}`]),
    `  protocol     Backend Interfaces ${protocol}`,
    ...(dialect === undefined ? [] : [`  dialect      ${dialect}`]),
    ...(asyncUrl === undefined ? [] : [`  answers      posted to ${asyncUrl}`]),
    ...(kekOnly === undefined
      ? []
      : [`  keys         ${kekOnly ? 'under a KEK only' : 'in clear where it has no KEK'}`]),
    ...certificates.flatMap(describeCertificate),
    ...(authority === undefined
      ? []
      : [
          `  CA           ${authority.subject}`,
          `               ${authority.fingerprint}`,
          `               ${authority.notBefore} to ${authority.notAfter}`,
          `               for certificates in the name ${authority.name}`,
        ]),
    ...tokens.flatMap(describeToken),
    ...agreements.map((agreement) => `  agreement    ${describeScope(agreement)}`),
    `  added        ${peer.createdAt}`,
  ].join('\n')
}

/** The devices of an agreement. */
export function describeScope({ devEui, joinEui, bits }: Pick<AgreementView, 'devEui' | 'joinEui' | 'bits'>): string {
  if (devEui !== undefined) return `device ${devEui}`
  return bits === 0 ? 'all devices' : `JoinEUI ${joinEui ?? ''}/${bits ?? ''}`
}

function describeCertificate({ subject, fingerprint, notBefore, notAfter }: PeerCertificateView): string[] {
  return [`  certificate  ${subject}`, `               ${fingerprint}`, `               ${notBefore} to ${notAfter}`]
}

function describeToken({ header, digest, addedAt }: PeerTokenView): string[] {
  return [`  token        in the header ${header}, since ${addedAt}`, `               SHA-256 ${digest}`]
}

/** Of several, the one that ends last. */
function describeUntil({ certificates, authority }: PeerView): string {
  const last = certificates
    .map(({ notAfter }) => notAfter)
    .sort()
    .at(-1)
  const ofCertificates = last === undefined ? [] : [last.slice(0, 10)]
  const several = certificates.length > 1 ? [`${certificates.length} certificates`] : []
  const ofAuthority = authority === undefined ? [] : [`CA until ${authority.notAfter.slice(0, 10)}: ${authority.name}`]
  return [...ofCertificates, ...several, ...ofAuthority].join(', ')
}
