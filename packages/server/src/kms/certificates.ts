import { formatJoinEuiPrefix } from '@mortise/lorawan'
import type { AdministrationReader, CertificateFacts, Peer, Route } from '../storage/index.ts'
import type { CertificateKind, CertificateState, InstalledCertificateView } from './administration.ts'
import { readCertificate } from './peer-certificates.ts'

/** How long before its end a certificate is worth a word: the time in which somebody abroad answers a letter. */
const ENDS_SOON_MS = 30 * 86_400_000
const MAX_NAMED = 10

/** A certificate that the server shows, or that lets a peer in. */
export interface InstalledCertificate extends CertificateFacts {
  readonly kind: CertificateKind
  /** As in InstalledCertificateView. */
  readonly id: string
  readonly names: readonly string[]
  readonly isAuthority: boolean
  /** Of a peer that is disabled: it lets nobody in. */
  readonly isDisabled: boolean
}

/** Those of the server itself come from outside: they are files. */
export type OwnCertificates = () => readonly InstalledCertificate[]

/** All there are: those of the server and of its CA, of peers, and those that routes show. */
export function installedCertificates(
  storage: Pick<AdministrationReader, 'listPeers' | 'listRoutes'>,
  ownCertificates: OwnCertificates,
): InstalledCertificate[] {
  return [
    ...ownCertificates(),
    ...storage.listPeers().flatMap(certificatesOfPeer),
    ...storage.listRoutes().flatMap(certificatesOfRoute),
  ]
}

function certificatesOfPeer({ kind, id, disabled, certificates, authority }: Peer): InstalledCertificate[] {
  const common = { kind, id, isDisabled: disabled }
  const pinned = certificates.map((facts) => ({ ...facts, ...common, names: [], isAuthority: false }))
  if (authority === undefined) return pinned
  return [...pinned, { ...readCertificate(authority.pem), ...common, names: [authority.name], isAuthority: true }]
}

function certificatesOfRoute({ prefix, certificatePem, authorityPem }: Route): InstalledCertificate[] {
  const common = { kind: 'route', id: formatJoinEuiPrefix(prefix), names: [], isDisabled: false } as const
  return [
    { ...readCertificate(certificatePem), ...common, isAuthority: false },
    { ...readCertificate(authorityPem), ...common, isAuthority: true },
  ]
}

export function toCertificateView(certificate: InstalledCertificate, nowMs: number): InstalledCertificateView {
  const { kind, id, subject, names, isAuthority, fingerprint, notBefore, notAfter } = certificate
  return {
    ...{ kind, id, subject, names: [...names], isAuthority, fingerprint },
    notBefore: new Date(notBefore).toISOString(),
    notAfter: new Date(notAfter).toISOString(),
    state: stateOf(certificate, nowMs),
  }
}

/** What to look after, one sentence each; the soonest first. */
export function expiryWarnings(certificates: readonly InstalledCertificate[], nowMs: number): string[] {
  const ending = certificates
    .filter(({ isDisabled, notAfter }) => !isDisabled && notAfter - nowMs < ENDS_SOON_MS)
    .sort((a, b) => a.notAfter - b.notAfter)
  const beyond = ending.length - MAX_NAMED
  return [
    ...ending.slice(0, MAX_NAMED).map((certificate) => expiryWarning(certificate, certificates, nowMs)),
    ...(beyond > 0 ? [`${beyond} more certificates end soon: see \`mortise certificate list\`.`] : []),
  ]
}

function expiryWarning(certificate: InstalledCertificate, all: readonly InstalledCertificate[], nowMs: number): string {
  const { kind, id, isAuthority, notAfter } = certificate
  const verb = notAfter <= nowMs ? 'expired' : 'expires'
  const when = `${verb} on ${new Date(notAfter).toISOString().slice(0, 10)}`
  if (kind === 'ca') return `The certificate of the CA ${when}: renew it with \`mortise certificate renew --ca\`.`
  if (kind === 'server') return `The certificate of the server (${id}) ${when}.`
  if (isAuthority) return `The certificate of the CA of ${kind} ${id} ${when}.`
  const isReplaced = all.some((other) => other.kind === kind && other.id === id && other.notAfter > notAfter)
  if (!isReplaced) return `The certificate of ${kind} ${id} ${when}.`
  return `The older certificate of ${kind} ${id} ${when}: remove it when the peer shows the newer one.`
}

function stateOf({ notBefore, notAfter }: CertificateFacts, nowMs: number): CertificateState {
  if (notAfter <= nowMs) return 'expired'
  if (notBefore > nowMs) return 'not-yet-valid'
  return notAfter - nowMs < ENDS_SOON_MS ? 'ends-soon' : 'valid'
}
