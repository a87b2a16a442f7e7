import { randomBytes } from 'node:crypto'
import { bytesToHex, devNonceRule, type MacVersion, type NetId, parseDevEui } from '@mortise/lorawan'
import { Device, type DeviceIdentity, type RootKeys, SoftSecureElement } from '@mortise/simulator'
import { AS_ID, JOIN_EUI } from '../support/parties.ts'
import type { JoinRequest } from './join-request.ts'
import type { KeySetModel } from './key-set-model.ts'
import type { Model } from './model.ts'

/** Random DevNonces, counted ones, and a second root key. */
const MAC_VERSIONS: readonly MacVersion[] = ['1.0.3', '1.0.4', '1.1.0']
/** Requests of a device that may come again: the last one, and some before it. */
const MAX_HISTORY = 16

/** A device in the field, and what the harness knows of its joins. */
export class FleetDevice {
  readonly identity: DeviceIdentity
  readonly rootKeys: RootKeys
  readonly keySet: KeySetModel
  readonly secureElement = new SoftSecureElement()
  readonly device: Device
  /** DevNonce of the join-request that the device waits for an answer to. */
  pending: number | undefined
  readonly history: JoinRequest[] = []
  #turn: Promise<unknown> = Promise.resolve()

  constructor(identity: DeviceIdentity, rootKeys: RootKeys, keySet: KeySetModel) {
    this.identity = identity
    this.rootKeys = rootKeys
    this.keySet = keySet
    this.secureElement.loadDevice(identity, rootKeys)
    this.device = new Device(this.secureElement, identity)
  }

  /** One thing at a time: a device has one radio and one join under way. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Keeps a request that may come again. What is not decided stays, to be settled. */
  remember(request: JoinRequest): void {
    this.history.push(request)
    while (this.history.length > MAX_HISTORY) {
      const index = this.history.findIndex(({ digest }) => this.keySet.isDecided(digest))
      if (index === -1) return
      this.history.splice(index, 1)
    }
  }

  /** The request that was acknowledged last, or `undefined` while something about it is open. */
  get lastAccepted(): JoinRequest | undefined {
    const digest = this.keySet.last?.digest
    return this.keySet.undecided.length > 0 ? undefined : this.history.find((request) => request.digest === digest)
  }
}

export function makeFleet(size: number, model: Model): FleetDevice[] {
  return Array.from({ length: size }, (_, index) => {
    const macVersion = MAC_VERSIONS[index % MAC_VERSIONS.length] ?? '1.0.3'
    const identity = { devEui: parseDevEui(randomBytes(8).toString('hex')), joinEui: JOIN_EUI, macVersion }
    const rootKeys = { appKey: randomBytes(16), ...(macVersion === '1.1.0' && { nwkKey: randomBytes(16) }) }
    return new FleetDevice(identity, rootKeys, model.addKeySet(identity.devEui, devNonceRule(macVersion)))
  })
}

/** What `mortise device add --file` reads. */
export function deviceFile(fleet: readonly FleetDevice[], networks: readonly NetId[]): string {
  const lines = fleet.map(({ identity, rootKeys: { appKey, nwkKey } }) => {
    const keys = { appKey: bytesToHex(appKey), ...(nwkKey && { nwkKey: bytesToHex(nwkKey) }) }
    return JSON.stringify({ ...identity, ...keys, as: AS_ID, networks })
  })
  return `${lines.join('\n')}\n`
}
