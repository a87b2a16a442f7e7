import type { AdministrationReader, Peer } from '../storage/index.ts'

/** Only this file has it, so only this file makes authenticated peers: authority is a value, not a claim. */
const AUTHENTICATION = Symbol('authentication')

/** A network server that proved the key of the certificate which the operator signed in for it. */
export class NetworkServer {
  readonly kind = 'ns'
  /** NetID, 6 lower-case hex digits. */
  readonly id: string

  constructor(proof: typeof AUTHENTICATION, id: string) {
    requireProof(proof)
    this.id = id
  }
}

/** An application server, likewise. */
export class ApplicationServer {
  readonly kind = 'as'
  /** AS-ID. */
  readonly id: string

  constructor(proof: typeof AUTHENTICATION, id: string) {
    requireProof(proof)
    this.id = id
  }
}

export type AuthenticatedPeer = NetworkServer | ApplicationServer

/** Why a certificate opens nothing. `expired` is also said of one that is not valid yet. */
export type PeerRefusal = 'unknown' | 'expired' | 'disabled'

interface Entry {
  readonly outcome: AuthenticatedPeer | 'disabled'
  readonly notBefore: number
  readonly notAfter: number
}

/**
 * Who a client certificate belongs to. Kept in memory, because every message of the Backend Interfaces asks it; read
 * again after every order that was adopted.
 */
export class PeerDirectory {
  readonly #storage: Pick<AdministrationReader, 'listPeers'>
  #byFingerprint: ReadonlyMap<string, Entry> = new Map()

  constructor(storage: Pick<AdministrationReader, 'listPeers'>) {
    this.#storage = storage
    this.reload()
  }

  reload(): void {
    this.#byFingerprint = new Map(
      this.#storage.listPeers().map((peer) => [peer.certificate.fingerprint, toEntry(peer)]),
    )
  }

  /**
   * The peer with this certificate. `fingerprint` is the SHA-256 of its DER, 64 lower-case hex digits, of a certificate
   * whose key the TLS handshake has proven; `nowMs` is in milliseconds since 1970.
   */
  authenticate(fingerprint: string, nowMs: number): AuthenticatedPeer | PeerRefusal {
    const entry = this.#byFingerprint.get(fingerprint)
    if (entry === undefined) return 'unknown'
    if (nowMs < entry.notBefore || nowMs > entry.notAfter) return 'expired'
    return entry.outcome
  }
}

function toEntry(peer: Peer): Entry {
  const { notBefore, notAfter } = peer.certificate
  return { outcome: peer.disabled ? 'disabled' : toAuthenticated(peer), notBefore, notAfter }
}

function toAuthenticated({ kind, id }: Peer): AuthenticatedPeer {
  return kind === 'ns' ? new NetworkServer(AUTHENTICATION, id) : new ApplicationServer(AUTHENTICATION, id)
}

function requireProof(proof: unknown): void {
  if (proof !== AUTHENTICATION) throw new TypeError('only PeerDirectory makes authenticated peers')
}
