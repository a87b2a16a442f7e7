import { type DevEui, hasPrefix, type JoinEui, type JoinEuiPrefix, type NetId } from '@mortise/lorawan'
import type { AdministrationReader, Agreement } from '../storage/index.ts'

interface Allowed {
  readonly devEuis: ReadonlySet<DevEui>
  readonly prefixes: readonly JoinEuiPrefix[]
}

/**
 * Which network servers may learn the home of which devices. Kept in memory; read again after every order that changed
 * an agreement, or removed a peer. Says nothing about whether a device exists.
 */
export class Agreements {
  readonly #storage: Pick<AdministrationReader, 'listAgreements'>
  #byNetId: ReadonlyMap<NetId, Allowed> = new Map()

  constructor(storage: Pick<AdministrationReader, 'listAgreements'>) {
    this.#storage = storage
    this.reload()
  }

  reload(): void {
    const agreements = Map.groupBy(this.#storage.listAgreements(), ({ netId }) => netId)
    this.#byNetId = new Map(Array.from(agreements, ([netId, ofOne]) => [netId, toAllowed(ofOne)]))
  }

  /** Whether there is an agreement with the network server of this NetID for the device, or for its JoinEUI. */
  allows(netId: NetId, devEui: DevEui, joinEui: JoinEui): boolean {
    const allowed = this.#byNetId.get(netId)
    if (allowed === undefined) return false
    return allowed.devEuis.has(devEui) || allowed.prefixes.some((prefix) => hasPrefix(joinEui, prefix))
  }
}

function toAllowed(agreements: readonly Agreement[]): Allowed {
  const scopes = agreements.map(({ scope }) => scope)
  return {
    devEuis: new Set(scopes.flatMap((scope) => ('devEui' in scope ? [scope.devEui] : []))),
    prefixes: scopes.flatMap((scope) => ('devEui' in scope ? [] : [scope])),
  }
}
