import { createHash } from 'node:crypto'
import {
  type AppliedOrder,
  type Change,
  decodeDeviceRecord,
  decodeKekRecord,
  type DeviceAdd,
  type DeviceRecord,
  type KekSet,
  type Order,
  type PeerAdd,
  type PeerChange,
} from '@mortise/hsm'
import type { AdministrationReader, AdoptedChange, Device, Peer } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'
import { readCertificate } from './peer-certificates.ts'

const KEY_DIGEST_BYTES = 16

/** What has to be read before an order, and written after it. */
export interface OrderPlan {
  /** The current records that the order replaces or removes. */
  readonly records: readonly Buffer[]
  /** What the database is to change, now that the HSM has made the records. */
  adoptedChanges(applied: AppliedOrder, nowMs: number): AdoptedChange[]
}

/**
 * Checks what only the database can check of an order, and gathers what the HSM needs. Reads and decides nothing that
 * depends on the clock: an order that the HSM has carried out must get the same plan after a crash.
 * @throws AdministrationError device_exists, device_unknown, kek_exists, kek_unknown, peer_exists, peer_unknown,
 *   owner_mismatch, certificate_mismatch, certificate_malformed
 */
export function planOrder(storage: AdministrationReader, order: Order, certificates: readonly string[]): OrderPlan {
  const planner = new Planner(storage, certificates)
  for (const change of order.changes) planner.plan(change)
  planner.refuseUnusedCertificates()
  return planner
}

/** What one change becomes, given the records that the HSM made. */
type Step = (made: MadeRecords, nowMs: number) => AdoptedChange

class Planner implements OrderPlan {
  readonly records: Buffer[] = []
  readonly #storage: AdministrationReader
  readonly #owner: string
  readonly #certificates: Map<string, Peer['certificate']>
  readonly #usedCertificates = new Set<string>()
  readonly #steps: Step[] = []
  /** Peers and EUIs as they are after the changes planned so far. */
  #peers: Peer[]
  readonly #addedEuis = new Set<string>()
  readonly #removedDevices = new Set<string>()

  constructor(storage: AdministrationReader, certificates: readonly string[]) {
    this.#storage = storage
    this.#owner = storage.organisationId().toString('hex')
    this.#certificates = new Map(certificates.map(readCertificate).map((known) => [known.fingerprint, known]))
    this.#peers = storage.listPeers()
  }

  plan(change: Change): void {
    switch (change.action) {
      case 'device.add':
        return this.#addDevice(change)
      case 'device.set':
        return this.#setDevice(change.device)
      case 'device.remove':
        return this.#removeDevice(change.device)
      case 'kek.set':
        return this.#addKek(change)
      case 'kek.remove':
        return this.#removeKek(change.kek)
      case 'peer.add':
        return this.#addPeer(change)
      case 'peer.disable':
        return this.#disablePeer(change)
      case 'peer.remove':
        return this.#removePeer(change)
      case 'epoch.accept':
        // The supervisor's business: the epoch comes back with every order.
        return
    }
  }

  adoptedChanges(applied: AppliedOrder, nowMs: number): AdoptedChange[] {
    const made = new MadeRecords(applied)
    return this.#steps.map((step) => step(made, nowMs))
  }

  /** One that no change names was not looked at by whoever signed. */
  refuseUnusedCertificates(): void {
    for (const fingerprint of this.#certificates.keys())
      if (!this.#usedCertificates.has(fingerprint))
        throw new AdministrationError('certificate_mismatch', `the order does not name ${fingerprint}`)
  }

  #addDevice(change: DeviceAdd): void {
    const { devEui, joinEui } = change
    this.#refuseForeignOwner(change.owner)
    const euis = `${devEui} ${joinEui}`
    const known = this.#storage
      .findDevices(devEui)
      .filter(({ deviceId }) => !this.#removedDevices.has(deviceId.toString('hex')))
      .some(({ keySets }) => keySets.some((keySet) => keySet.joinEui === joinEui))
    if (known || this.#addedEuis.has(euis))
      throw new AdministrationError('device_exists', `DevEUI ${devEui}, JoinEUI ${joinEui}`)
    if (this.#storage.findDevice(idOf(change.device))) throw new AdministrationError('device_exists', change.device)
    this.#addedEuis.add(euis)
    const keysDelivered = change.appKey !== 'generate' && change.nwkKey !== 'generate'
    this.#steps.push((made) => {
      const record = made.find(change.device)
      const decoded = decodeDeviceRecord(record)
      return {
        kind: 'device-added',
        deviceId: idOf(change.device),
        devEui,
        joinEui,
        generation: decoded.keyGeneration,
        keysDelivered,
        record,
        keyDigest: keyDigest(decoded),
      }
    })
  }

  #setDevice(device: string): void {
    this.records.push(currentRecord(this.#findDevice(device)))
    this.#steps.push((made) => ({ kind: 'device-changed', deviceId: idOf(device), record: made.find(device) }))
  }

  #removeDevice(device: string): void {
    const record = currentRecord(this.#findDevice(device))
    this.#removedDevices.add(device)
    this.records.push(record)
    this.#steps.push(() => ({
      kind: 'device-removed',
      deviceId: idOf(device),
      keyDigest: keyDigest(decodeDeviceRecord(record)),
    }))
  }

  #addKek(change: KekSet): void {
    const { kind, recipient, label, size } = change
    const kekId = idOf(change.kek)
    this.#refuseForeignOwner(change.owner)
    if (this.#storage.findKek(kekId)) throw new AdministrationError('kek_exists', change.kek)
    this.#steps.push((made, createdAt) => {
      const record = made.find(change.kek)
      const { kekVersion } = decodeKekRecord(record)
      return { kind: 'kek-added', kek: { kekId, kind, recipient, label, kekVersion, size, record, createdAt } }
    })
  }

  #removeKek(kek: string): void {
    const kekId = idOf(kek)
    const current = this.#storage.findKek(kekId)
    if (current === undefined) throw new AdministrationError('kek_unknown', kek)
    this.records.push(current.record)
    this.#steps.push(() => ({ kind: 'kek-removed', kekId }))
  }

  #addPeer(change: PeerAdd): void {
    const certificate = this.#certificates.get(change.certificate)
    if (certificate === undefined)
      throw new AdministrationError('certificate_mismatch', `no certificate ${change.certificate} came with the order`)
    this.#usedCertificates.add(change.certificate)
    const { kind, id, nsId, protocol } = change
    const peer: Peer = {
      ...{ peerId: idOf(change.peer), kind, id, nsId, protocol, disabled: false, certificate },
      createdAt: 0,
    }
    this.#refuseKnownPeer(peer)
    this.#peers = [...this.#peers, peer]
    this.#steps.push((_made, createdAt) => ({ kind: 'peer-added', peer: { ...peer, createdAt } }))
  }

  #refuseKnownPeer({ peerId, kind, id, certificate }: Peer): void {
    for (const known of this.#peers) {
      if (known.peerId.equals(peerId)) throw new AdministrationError('peer_exists', peerId.toString('hex'))
      if (known.kind === kind && known.id === id) throw new AdministrationError('peer_exists', `${kind} ${id}`)
      // A certificate means one peer, or the listener could not tell who calls.
      if (known.certificate.fingerprint === certificate.fingerprint)
        throw new AdministrationError('peer_exists', `${known.kind} ${known.id} has this certificate`)
    }
  }

  #disablePeer(change: PeerChange): void {
    const { peerId } = this.#findPeer(change)
    this.#steps.push(() => ({ kind: 'peer-disabled', peerId }))
  }

  #removePeer(change: PeerChange): void {
    const { peerId } = this.#findPeer(change)
    this.#peers = this.#peers.filter((known) => !known.peerId.equals(peerId))
    this.#steps.push(() => ({ kind: 'peer-removed', peerId }))
  }

  /** By its id, and under the name that the operator meant. */
  #findPeer({ peer, kind, id }: PeerChange): Peer {
    const found = this.#peers.find((known) => known.peerId.equals(idOf(peer)))
    if (found === undefined) throw new AdministrationError('peer_unknown', peer)
    if (found.kind !== kind || found.id !== id) throw new AdministrationError('order_record_mismatch', `${kind} ${id}`)
    return found
  }

  #findDevice(device: string): Device {
    const found = this.#removedDevices.has(device) ? undefined : this.#storage.findDevice(idOf(device))
    if (found === undefined) throw new AdministrationError('device_unknown', device)
    return found
  }

  #refuseForeignOwner(owner: string): void {
    if (owner !== this.#owner) throw new AdministrationError('owner_mismatch', owner)
  }
}

/** The records of an order that the HSM has carried out. */
class MadeRecords {
  readonly #records: Map<string, Buffer | undefined>

  constructor(applied: AppliedOrder) {
    this.#records = new Map(applied.changes.map(({ id, record }) => [id.toString('hex'), record]))
  }

  find(id: string): Buffer {
    const record = this.#records.get(id)
    if (record === undefined) throw new AdministrationError('frame_malformed', 'the HSM answered without a record')
    return record
  }
}

/** The record of the newest generation; generations come newest first. */
function currentRecord({ deviceId, keySets }: Device): Buffer {
  const [newest] = keySets
  if (newest === undefined) throw new AdministrationError('device_unknown', deviceId.toString('hex'))
  return newest.record
}

/** What tells whether a root key was here before: SHA-256, first 16 bytes, of the wrapped key that joins use. */
function keyDigest({ appKey, nwkKey }: DeviceRecord): Buffer {
  const { rootUse } = nwkKey ?? appKey
  return createHash('sha256').update(rootUse).digest().subarray(0, KEY_DIGEST_BYTES)
}

function idOf(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}
