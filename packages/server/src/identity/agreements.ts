import { type DevEui, type JoinEui, JoinEuiIndex, type NetId } from '@mortise/lorawan'
import type { AdministrationReader, Agreement } from '../storage/index.ts'

interface Allowed {
  readonly devEuis: ReadonlySet<DevEui>
  readonly prefixes: JoinEuiIndex<true>
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

  /** What cannot be read allows nothing. @throws StorageError */
  reload(): void {
    this.#byNetId = new Map()
    const agreements = Map.groupBy(this.#storage.listAgreements(), ({ netId }) => netId)
    this.#byNetId = new Map(Array.from(agreements, ([netId, ofOne]) => [netId, toAllowed(ofOne)]))
  }

  /** Whether there is an agreement with the network server of this NetID for the device, or for its JoinEUI. */
  allows(netId: NetId, devEui: DevEui, joinEui: JoinEui): boolean {
    const allowed = this.#byNetId.get(netId)
    if (allowed === undefined) return false
    return allowed.devEuis.has(devEui) || allowed.prefixes.find(joinEui) !== undefined
  }
}

function toAllowed(agreements: readonly Agreement[]): Allowed {
  const scopes = agreements.map(({ scope }) => scope)
  return {
    devEuis: new Set(scopes.flatMap((scope) => ('devEui' in scope ? [scope.devEui] : []))),
    prefixes: new JoinEuiIndex(scopes.flatMap((scope) => ('devEui' in scope ? [] : [[scope, true] as const]))),
  }
}
