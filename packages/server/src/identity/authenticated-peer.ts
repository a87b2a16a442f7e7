import { type Dialect, dialectOf } from '@mortise/backend-interfaces'
import { type NetId, type NsId, parseNetId } from '@mortise/lorawan'
import type { Peer } from '../storage/index.ts'

/** Only this room has it, so only PeerDirectory makes authenticated peers: authority is a value, not a claim. */
export const AUTHENTICATION = Symbol('authentication')

/** Why somebody is no peer. `expired` is also said of a certificate that is not valid yet. */
export type PeerRefusal = 'unknown' | 'expired' | 'disabled'

/**
 * A network server that proved the key of a certificate which the operator signed in for it, or a CA for its name; or
 * that showed a token of its own.
 */
export class NetworkServer {
  readonly kind = 'ns'
  readonly peerId: Buffer
  readonly id: NetId
  readonly nsId: NsId | undefined
  readonly dialect: Dialect
  /** Network session keys leave for it under a KEK only. */
  readonly kekOnly: boolean
  /** Where its answers are posted to; https. */
  readonly asyncUrl: string | undefined
  /** What its dialect says of keys: of an AppSKey that is its own, and of KEKs, in bytes. */
  readonly ownAppSKey: Dialect['ownAppSKey']
  readonly kekSizes: Dialect['kekSizes']

  constructor(proof: typeof AUTHENTICATION, peer: Peer) {
    requireProof(proof)
    this.peerId = peer.peerId
    this.id = parseNetId(peer.id)
    this.nsId = peer.nsId
    this.dialect = dialectOf(peer.dialect)
    this.kekOnly = peer.kekOnly
    this.asyncUrl = peer.asyncUrl
    this.ownAppSKey = this.dialect.ownAppSKey
    this.kekSizes = this.dialect.kekSizes
  }
}

/** An application server, likewise. */
export class ApplicationServer {
  readonly kind = 'as'
  readonly peerId: Buffer
  /** AS-ID. */
  readonly id: string

  constructor(proof: typeof AUTHENTICATION, { peerId, id }: Peer) {
    requireProof(proof)
    this.peerId = peerId
    this.id = id
  }
}

export type AuthenticatedPeer = NetworkServer | ApplicationServer

function requireProof(proof: unknown): void {
  if (proof !== AUTHENTICATION) throw new TypeError('only PeerDirectory makes authenticated peers')
}
