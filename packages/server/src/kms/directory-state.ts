import type { AgreementScope, PeerReference } from '@mortise/hsm'
import { formatJoinEuiPrefix } from '@mortise/lorawan'
import type { AdministrationReader, AdoptedChange, Peer, Route } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'

/** What a change becomes when it is adopted. */
export type DirectoryStep = (nowMs: number) => AdoptedChange

/** Peers, agreements and routes as they are after the changes planned so far. Each is read when it is first asked for. */
export class DirectoryState {
  readonly #storage: Pick<AdministrationReader, 'listPeers' | 'listAgreements' | 'listRoutes'>
  #peers: Peer[] | undefined
  #agreements: Set<string> | undefined
  #routes: Route[] | undefined

  constructor(storage: Pick<AdministrationReader, 'listPeers' | 'listAgreements' | 'listRoutes'>) {
    this.#storage = storage
  }

  get peers(): readonly Peer[] {
    this.#peers ??= this.#storage.listPeers()
    return this.#peers
  }

  /**
   * By its id, and under the name that the operator meant.
   * @throws AdministrationError peer_unknown, order_record_mismatch
   */
  findPeer({ peer, kind, id }: PeerReference): Peer {
    const peerId = Buffer.from(peer, 'hex')
    const found = this.peers.find((known) => known.peerId.equals(peerId))
    if (found === undefined) throw new AdministrationError('peer_unknown', peer)
    if (found.kind !== kind || found.id !== id) throw new AdministrationError('order_record_mismatch', `${kind} ${id}`)
    return found
  }

  /** Adds one, or puts it in the place of the one with its id. */
  setPeer(peer: Peer): void {
    this.#peers = [...this.peers.filter((known) => !known.peerId.equals(peer.peerId)), peer]
  }

  /** Its agreements go with it. */
  removePeer(peerId: Buffer): void {
    this.#peers = this.peers.filter((known) => !known.peerId.equals(peerId))
    const mark = markOf(peerId)
    this.#agreements = new Set(Array.from(this.#readAgreements()).filter((key) => !key.startsWith(mark)))
  }

  /** How many there are. */
  get agreements(): number {
    return this.#readAgreements().size
  }

  /** False when it is there already. */
  addAgreement(peerId: Buffer, scope: AgreementScope): boolean {
    const agreements = this.#readAgreements()
    const before = agreements.size
    return agreements.add(agreementKey(peerId, scope)).size > before
  }

  /** False when there is none. */
  removeAgreement(peerId: Buffer, scope: AgreementScope): boolean {
    return this.#readAgreements().delete(agreementKey(peerId, scope))
  }

  /** How many there are. */
  get routes(): number {
    return this.#readRoutes().length
  }

  /** False when there is one with its id or for its prefix. */
  addRoute(route: Route): boolean {
    const prefix = formatJoinEuiPrefix(route.prefix)
    const routes = this.#readRoutes()
    if (routes.some((known) => known.routeId.equals(route.routeId) || formatJoinEuiPrefix(known.prefix) === prefix))
      return false
    routes.push(route)
    return true
  }

  /** The route of this id, which is there no more. */
  takeRoute(routeId: Buffer): Route | undefined {
    const routes = this.#readRoutes()
    const found = routes.find((known) => known.routeId.equals(routeId))
    this.#routes = routes.filter((known) => known !== found)
    return found
  }

  #readAgreements(): Set<string> {
    this.#agreements ??= new Set(this.#storage.listAgreements().map(({ peerId, scope }) => agreementKey(peerId, scope)))
    return this.#agreements
  }

  #readRoutes(): Route[] {
    this.#routes ??= this.#storage.listRoutes()
    return this.#routes
  }
}

function markOf(peerId: Buffer): string {
  return `${peerId.toString('hex')} `
}

function agreementKey(peerId: Buffer, scope: AgreementScope): string {
  return markOf(peerId) + ('devEui' in scope ? scope.devEui : formatJoinEuiPrefix(scope))
}
