import type { RecordChange } from '../contract/order.ts'
import { HsmError } from '../errors.ts'
import type { Envelope } from '../orders/envelope.ts'
import {
  type Change,
  type DeviceAdd,
  type DeviceReference,
  type DeviceSet,
  type KekRemove,
  type KekSet,
  type Order,
  REMOVED,
  type RootKeySource,
} from '../orders/order.ts'
import {
  decodeDeviceRecord,
  type DeviceRecord,
  encodeDeviceRecord,
  ROOT_BLOB_BYTES,
  type RootKeyBlobs,
} from '../records/device-record.ts'
import { RECORD_TYPE, recordType, verifyTag } from '../records/format.ts'
import { decodeKekRecord, encodeKekRecord, type KekRecord } from '../records/kek-record.ts'
import type { TokenKey } from '../token/token.ts'
import { type Custody, openDeviceRecord } from './custody.ts'
import { withKeys } from './key-scope.ts'

/** What comes with an order beside its text. */
export interface OrderMaterial {
  readonly envelope: Envelope | undefined
  /** The current records that the order replaces or removes. */
  readonly records: readonly Buffer[]
  /** 16 random bytes. */
  readonly newSalt: () => Buffer
}

export interface MadeRecords {
  readonly changes: RecordChange[]
  readonly floors: Map<string, number>
}

/** Makes the records of an order; changes nothing outside the token. */
export function makeRecords(
  custody: Custody,
  order: Order,
  kekVersions: readonly number[],
  material: OrderMaterial,
): MadeRecords {
  return withKeys(custody.token, (keys) => {
    const transport =
      material.envelope === undefined ? undefined : keys.hold(custody.token.openTransport(material.envelope.transport))
    const maker = new RecordMaker(custody, kekVersions, material, transport)
    for (const change of order.changes) maker.make(change)
    return maker
  })
}

/** The records that came with an order, by the ids that they claim to have; whether they are genuine is seen when they are used. */
function recordsById(records: readonly Buffer[]): { device: Map<string, Buffer>; kek: Map<string, Buffer> } {
  const byId = { device: new Map<string, Buffer>(), kek: new Map<string, Buffer>() }
  for (const record of records) {
    if (recordType(record) === RECORD_TYPE.kek) byId.kek.set(decodeKekRecord(record).kekId.toString('hex'), record)
    else byId.device.set(decodeDeviceRecord(record).deviceId.toString('hex'), record)
  }
  return byId
}

class RecordMaker implements MadeRecords {
  readonly changes: RecordChange[] = []
  readonly floors = new Map<string, number>()
  readonly #custody: Custody
  readonly #kekVersions: readonly number[]
  readonly #material: OrderMaterial
  readonly #transport: TokenKey | undefined
  readonly #supplied: Readonly<Record<RecordChange['kind'], ReadonlyMap<string, Buffer>>>
  readonly #seen = new Set<string>()
  #keksMade = 0

  constructor(
    custody: Custody,
    kekVersions: readonly number[],
    material: OrderMaterial,
    transport: TokenKey | undefined,
  ) {
    this.#custody = custody
    this.#kekVersions = kekVersions
    this.#material = material
    this.#transport = transport
    this.#supplied = recordsById(material.records)
  }

  make(change: Change): void {
    switch (change.action) {
      case 'device.add':
        return this.#addDevice(change)
      case 'device.set':
        return this.#setDevice(change)
      case 'device.remove':
        this.#currentDevice(change)
        return this.#remove('device', change.device)
      case 'kek.set':
        return this.#addKek(change)
      case 'kek.remove':
        this.#checkCurrentKek(change)
        return this.#remove('kek', change.kek)
      case 'peer.add':
      case 'peer.set':
      case 'peer.disable':
      case 'peer.remove':
      case 'peer.certificate.add':
      case 'peer.certificate.remove':
      case 'peer.token.add':
      case 'peer.token.remove':
      case 'agreement.add':
      case 'agreement.remove':
      case 'route.add':
      case 'route.remove':
      case 'epoch.accept':
        // Nothing in the token: the signature is what the server, or the supervisor, needs.
        return
    }
  }

  #addDevice(change: DeviceAdd): void {
    this.#claimNewId(change.device)
    const nwkKey = change.nwkKey === undefined ? undefined : this.#rootKey(change.nwkKey)
    const record = encodeDeviceRecord(
      {
        deviceId: Buffer.from(change.device, 'hex'),
        devEui: change.devEui,
        joinEui: change.joinEui,
        macVersion: change.macVersion,
        recordVersion: 1,
        keyGeneration: 1,
        owner: Buffer.from(change.owner, 'hex'),
        applicationServers: change.applicationServers,
        networkIsApplicationServer: change.networkIsApplicationServer,
        networks: change.networks,
        receiptSalt: this.#material.newSalt(),
        appKey: this.#rootKey(change.appKey),
        ...(nwkKey && { nwkKey }),
      },
      this.#custody.storageKeyId,
      (message) => this.#custody.token.tag(message),
    )
    this.changes.push({ kind: 'device', id: Buffer.from(change.device, 'hex'), record })
  }

  #setDevice(change: DeviceSet): void {
    const current = this.#currentDevice(change)
    const {
      applicationServers = current.applicationServers,
      networkIsApplicationServer = current.networkIsApplicationServer,
      networks = current.networks,
    } = change
    const recordVersion = change.replaces + 1
    const record = encodeDeviceRecord(
      { ...current, applicationServers, networkIsApplicationServer, networks, recordVersion },
      this.#custody.storageKeyId,
      (message) => this.#custody.token.tag(message),
    )
    this.floors.set(change.device, recordVersion)
    this.changes.push({ kind: 'device', id: current.deviceId, record })
  }

  #addKek(change: KekSet): void {
    this.#claimNewId(change.kek)
    const kekVersion = this.#kekVersions[this.#keksMade++]
    if (kekVersion === undefined) throw new HsmError('order_malformed', 'kek.set')
    const wrapped = this.#sealedKey(change.key)
    if (wrapped.length !== change.size + 8) throw new HsmError('envelope_damaged', 'KEK size')
    const record = encodeKekRecord(
      {
        kekId: Buffer.from(change.kek, 'hex'),
        kind: change.kind,
        recipient: change.recipient,
        owner: Buffer.from(change.owner, 'hex'),
        recordVersion: 1,
        kekVersion,
        label: change.label,
        size: change.size,
        blob: this.#custody.token.importKek(this.#openTransport(), wrapped),
      },
      this.#custody.storageKeyId,
      (message) => this.#custody.token.tag(message),
    )
    this.changes.push({ kind: 'kek', id: Buffer.from(change.kek, 'hex'), record })
  }

  #remove(kind: 'device' | 'kek', id: string): void {
    this.floors.set(id, REMOVED)
    this.changes.push({ kind, id: Buffer.from(id, 'hex'), record: undefined })
  }

  #rootKey(source: RootKeySource): RootKeyBlobs {
    if (source === 'generate') return this.#custody.token.generateRoot()
    const wrapped = this.#sealedKey(source)
    if (wrapped.length !== ROOT_BLOB_BYTES) throw new HsmError('envelope_damaged', 'root key size')
    return this.#custody.token.importRoot(this.#openTransport(), wrapped)
  }

  #sealedKey(index: number): Buffer {
    const wrapped = this.#material.envelope?.keys[index]
    if (wrapped === undefined) throw new HsmError('envelope_damaged', 'a key is missing')
    return wrapped
  }

  #openTransport(): TokenKey {
    if (this.#transport === undefined) throw new HsmError('envelope_damaged', 'missing')
    return this.#transport
  }

  #currentDevice({ device, devEui, joinEui, replaces }: DeviceReference): DeviceRecord {
    const current = openDeviceRecord(this.#custody, this.#takeRecord('device', device))
    if (current.devEui !== devEui || current.joinEui !== joinEui) throw new HsmError('order_record_mismatch', 'EUIs')
    if (current.recordVersion !== replaces) throw new HsmError('order_version_mismatch', 'device')
    return current
  }

  #checkCurrentKek({ kek, kind, recipient, label, replaces }: KekRemove): void {
    const current = this.#openKekRecord(this.#takeRecord('kek', kek))
    if (current.kind !== kind || current.recipient !== recipient || current.label !== label)
      throw new HsmError('order_record_mismatch', 'KEK')
    if (current.recordVersion !== replaces) throw new HsmError('order_version_mismatch', 'KEK')
  }

  /** The supplied record with this id; a record may be changed once in an order. */
  #takeRecord(kind: RecordChange['kind'], id: string): Buffer {
    this.#refuseSecondChange(id)
    const record = this.#supplied[kind].get(id)
    if (record === undefined) throw new HsmError('order_record_missing', kind)
    return record
  }

  #openKekRecord(bytes: Buffer): KekRecord {
    const record = decodeKekRecord(bytes)
    verifyTag(bytes, this.#custody.storageKeyId, (message) => this.#custody.token.tag(message))
    if (!this.#custody.floors.accepts(record.kekId, record.recordVersion))
      throw new HsmError('record_superseded', 'KEK')
    return record
  }

  /** A new record starts at version 1: an id that was changed or removed before cannot start again. */
  #claimNewId(id: string): void {
    this.#refuseSecondChange(id)
    if (this.#custody.floors.has(id)) throw new HsmError('order_version_mismatch', 'id was used before')
  }

  #refuseSecondChange(id: string): void {
    if (this.#seen.has(id)) throw new HsmError('order_malformed', 'one record twice')
    this.#seen.add(id)
  }
}
