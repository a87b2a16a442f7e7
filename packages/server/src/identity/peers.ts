import { X509Certificate } from 'node:crypto'
import type { NsId } from '@mortise/lorawan'
import type { AdministrationReader, AdoptedChange, Peer, PeerAuthority } from '../storage/index.ts'
import {
  ApplicationServer,
  AUTHENTICATION,
  type AuthenticatedPeer,
  NetworkServer,
  type PeerRefusal,
} from './authenticated-peer.ts'
import { type ClientCertificate, isInName, isIssuedToClient } from './client-certificate.ts'
import { PeerTokens } from './peer-tokens.ts'

/** Certificates known through a CA, and strangers', each as many as are kept: whose is looked up anew costs a signature. */
const MAX_KNOWN_CERTIFICATES = 4096

interface Entry {
  readonly outcome: AuthenticatedPeer | PeerRefusal
  readonly notBefore: number
  readonly notAfter: number
}

interface AuthorityEntry extends Entry {
  readonly certificate: X509Certificate
  readonly name: string
}

const STRANGER: Entry = { outcome: 'unknown', notBefore: -Infinity, notAfter: Infinity }

const NO_HEADERS: readonly string[] = []

/**
 * Who a client certificate belongs to, or else a token. Kept in memory, because every message of the Backend Interfaces
 * asks it; read again after every order that changed a peer. What was found through a CA is forgotten then.
 */
export class PeerDirectory {
  readonly #storage: Pick<AdministrationReader, 'listPeers'>
  #byFingerprint: ReadonlyMap<string, Entry> = new Map()
  #authorities: readonly AuthorityEntry[] = []
  #networkServers: readonly NetworkServer[] = []
  /** Apart from the strangers, who could displace them. */
  readonly #issued = new Map<string, Entry>()
  readonly #strangers = new Set<string>()
  #tokens = new PeerTokens([])

  constructor(storage: Pick<AdministrationReader, 'listPeers'>) {
    this.#storage = storage
    this.reload()
  }

  /** What cannot be read lets nobody in: whoever was removed least of all. @throws StorageError */
  reload(): void {
    this.#forget()
    const peers = this.#storage.listPeers().map((peer) => ({ peer, outcome: outcomeOf(peer) }))
    this.#byFingerprint = new Map(
      peers.flatMap(({ peer, outcome }) =>
        peer.certificates.map(({ fingerprint, notBefore, notAfter }) => [
          fingerprint,
          { outcome, notBefore, notAfter },
        ]),
      ),
    )
    this.#authorities = peers.flatMap(({ peer, outcome }) =>
      peer.authority === undefined ? [] : [toAuthorityEntry(peer.authority, outcome)],
    )
    this.#tokens = new PeerTokens(peers.map(({ peer: { tokens }, outcome }) => ({ tokens, outcome })))
    this.#networkServers = peers.map(({ outcome }) => outcome).filter((outcome) => outcome instanceof NetworkServer)
  }

  /**
   * The peer with this certificate: one that has this very certificate, else one whose CA issued it to the peer's name.
   * Only where it is no peer's at all, the peer with a token among the headers, which are name and value in turn, as they
   * came: what is expired or disabled stays so, whatever is shown beside it. `nowMs` is in milliseconds since 1970. To be
   * asked for every request anew: a peer may have been removed meanwhile.
   */
  authenticate(
    certificate: ClientCertificate,
    nowMs: number,
    headers: readonly string[] = NO_HEADERS,
  ): AuthenticatedPeer | PeerRefusal {
    const { outcome, notBefore, notAfter } =
      this.#byFingerprint.get(certificate.fingerprint) ?? this.#findIssued(certificate)
    if (outcome === 'unknown') return this.#tokens.authenticate(headers)
    return nowMs >= notBefore && nowMs <= notAfter ? outcome : 'expired'
  }

  /** The network server with this id, unless it is disabled: for what it asked before and gets later. */
  networkServer(peerId: Buffer): NetworkServer | undefined {
    return this.#networkServers.find((known) => known.peerId.equals(peerId))
  }

  /** NSID of the network server with this NetID, if it is a peer, not disabled, and has one. */
  nsIdOf(netId: string): NsId | undefined {
    return this.#networkServers.find(({ id }) => id === netId)?.nsId
  }

  #forget(): void {
    this.#byFingerprint = new Map()
    this.#authorities = []
    this.#tokens = new PeerTokens([])
    this.#networkServers = []
    this.#issued.clear()
    this.#strangers.clear()
  }

  #findIssued({ fingerprint, read }: ClientCertificate): Entry {
    const known = this.#issued.get(fingerprint)
    if (known !== undefined) return known
    if (this.#authorities.length === 0 || this.#strangers.has(fingerprint)) return STRANGER
    const certificate = read()
    // Of a connection that was closed meanwhile; that makes nobody a stranger.
    if (certificate === undefined) return STRANGER
    const entry = this.#identify(certificate)
    if (entry === undefined) makeRoom(this.#strangers).add(fingerprint)
    else makeRoom(this.#issued).set(fingerprint, entry)
    return entry ?? STRANGER
  }

  /** Undefined as well for a certificate in the names of two peers: nobody could tell which of them calls. */
  #identify(certificate: X509Certificate): Entry | undefined {
    const [found, other] = this.#authorities.filter(
      (authority) => isInName(certificate, authority.name) && isIssuedToClient(certificate, authority.certificate),
    )
    if (found === undefined || other !== undefined) return undefined
    return {
      outcome: found.outcome,
      notBefore: Math.max(found.notBefore, certificate.validFromDate.getTime()),
      notAfter: Math.min(found.notAfter, certificate.validToDate.getTime()),
    }
  }
}

/** Whether peers and agreements have to be read again: not for every device that an order adds. */
export function changesPeers({ kind }: AdoptedChange): boolean {
  return kind.startsWith('peer-') || kind.startsWith('agreement-')
}

function outcomeOf(peer: Peer): AuthenticatedPeer | 'disabled' {
  if (peer.disabled) return 'disabled'
  return peer.kind === 'ns' ? new NetworkServer(AUTHENTICATION, peer) : new ApplicationServer(AUTHENTICATION, peer)
}

function toAuthorityEntry({ pem, name }: PeerAuthority, outcome: Entry['outcome']): AuthorityEntry {
  const certificate = new X509Certificate(pem)
  return {
    ...{ certificate, name, outcome },
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  }
}

/** Forgets the oldest when there are too many. */
function makeRoom<T extends Map<string, unknown> | Set<string>>(known: T): T {
  if (known.size < MAX_KNOWN_CERTIFICATES) return known
  for (const oldest of known.keys()) {
    known.delete(oldest)
    break
  }
  return known
}
