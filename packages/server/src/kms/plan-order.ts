import { createHash } from 'node:crypto'
import {
  type AppliedOrder,
  type Change,
  decodeDeviceRecord,
  decodeKekRecord,
  type DeviceAdd,
  type DeviceRecord,
  type DirectoryChange,
  type KekSet,
  type Order,
} from '@mortise/hsm'
import type { AdministrationReader, AdoptedChange, Device } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'
import { OrderCertificates } from './peer-certificates.ts'
import { DirectoryPlanner } from './plan-directory.ts'

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
 * @throws AdministrationError device_exists, device_unknown, kek_exists, kek_unknown, owner_mismatch,
 *   certificate_mismatch, certificate_malformed, and what DirectoryPlanner refuses
 */
export function planOrder(storage: AdministrationReader, order: Order, certificates: readonly string[]): OrderPlan {
  const orderCertificates = new OrderCertificates(certificates)
  const planner = new Planner(storage, orderCertificates)
  for (const change of order.changes) planner.plan(change)
  orderCertificates.refuseUnused()
  return planner
}

/** What one change becomes, given the records that the HSM made. */
type Step = (made: MadeRecords, nowMs: number) => AdoptedChange

class Planner implements OrderPlan {
  readonly records: Buffer[] = []
  readonly #storage: AdministrationReader
  readonly #owner: string
  readonly #directory: DirectoryPlanner
  readonly #steps: Step[] = []
  /** EUIs as they are after the changes planned so far. */
  readonly #addedEuis = new Set<string>()
  readonly #removedDevices = new Set<string>()

  constructor(storage: AdministrationReader, certificates: OrderCertificates) {
    this.#storage = storage
    this.#owner = storage.organisationId().toString('hex')
    this.#directory = new DirectoryPlanner(storage, certificates)
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
      case 'epoch.accept':
        // The supervisor's business: the epoch comes back with every order.
        return
      default:
        return this.#changeDirectory(change)
    }
  }

  adoptedChanges(applied: AppliedOrder, nowMs: number): AdoptedChange[] {
    const made = new MadeRecords(applied)
    return this.#steps.map((step) => step(made, nowMs))
  }

  #changeDirectory(change: DirectoryChange): void {
    const step = this.#directory.plan(change)
    this.#steps.push((_made, nowMs) => step(nowMs))
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
