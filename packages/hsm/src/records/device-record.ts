import type { DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import {
  devEuiFromBytes,
  eui64ToBytes,
  joinEuiFromBytes,
  MAC_VERSIONS,
  netIdFromBytes,
  netIdToBytes,
} from '@mortise/lorawan'
import { HsmError } from '../errors.ts'
import { refuseRest, takeField, takeOptional, uint8, uint16, uint32 } from './fields.ts'
import { encodeRecord, RECORD_TYPE, splitRecord, type TagFunction } from './format.ts'

export const DEVICE_ID_BYTES = 16
export const OWNER_ID_BYTES = 16
export const RECEIPT_SALT_BYTES = 16
export const ROOT_BLOB_BYTES = 24
export const MAX_APPLICATION_SERVERS = 16
export const MAX_NETWORKS = 64
export const MAX_AS_ID_BYTES = 64

/** How the root keys came to be. 1 (`LW-AES2`) and 2 (`LWKMS1`) are reserved for derived keys. */
export const KDF_RANDOM = 0

/** A root key, wrapped twice: under root-use (to use it) and under escrow (to release it by approval). 24 bytes each. */
export interface RootKeyBlobs {
  readonly rootUse: Buffer
  readonly escrow: Buffer
}

/** What decides how a device's keys may be used. Made and tagged by the HSM process; the database only keeps it. */
export interface DeviceRecord {
  readonly deviceId: Buffer
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  /** Rises by one with every change; 1 for a new record. */
  readonly recordVersion: number
  readonly keyGeneration: number
  readonly owner: Buffer
  /** AS-IDs that may get the AppSKey, the first of them inside JoinAns. */
  readonly applicationServers: readonly string[]
  /** The owner's explicit word that the network itself reads the payloads. */
  readonly networkIsApplicationServer: boolean
  /** NetIDs that may activate the device. */
  readonly networks: readonly NetId[]
  readonly receiptSalt: Buffer
  readonly appKey: RootKeyBlobs
  /** Present exactly for LoRaWAN 1.1. */
  readonly nwkKey?: RootKeyBlobs
}

const FIELD = {
  deviceId: 1,
  devEui: 2,
  joinEui: 3,
  macVersion: 4,
  recordVersion: 5,
  keyGeneration: 6,
  kdf: 7,
  owner: 8,
  applicationServers: 9,
  networkIsApplicationServer: 10,
  networks: 11,
  receiptSalt: 12,
  appKeyRootUse: 13,
  appKeyEscrow: 14,
  nwkKeyRootUse: 15,
  nwkKeyEscrow: 16,
  // 17 and 18: GenAppKey; 19: master key id of derived keys. Reserved.
} as const

/** Encodes and tags a device record. */
export function encodeDeviceRecord(record: DeviceRecord, storageKeyId: Uint8Array, tag: TagFunction): Buffer {
  const fields: [number, Uint8Array][] = [
    [FIELD.deviceId, record.deviceId],
    [FIELD.devEui, eui64ToBytes(record.devEui)],
    [FIELD.joinEui, eui64ToBytes(record.joinEui)],
    [FIELD.macVersion, uint8(MAC_VERSIONS.indexOf(record.macVersion))],
    [FIELD.recordVersion, uint32(record.recordVersion)],
    [FIELD.keyGeneration, uint16(record.keyGeneration)],
    [FIELD.kdf, uint8(KDF_RANDOM)],
    [FIELD.owner, record.owner],
    [FIELD.applicationServers, encodeTexts(record.applicationServers)],
  ]
  if (record.networkIsApplicationServer) fields.push([FIELD.networkIsApplicationServer, uint8(1)])
  fields.push(
    [FIELD.networks, Buffer.concat(record.networks.map(netIdToBytes))],
    [FIELD.receiptSalt, record.receiptSalt],
    [FIELD.appKeyRootUse, record.appKey.rootUse],
    [FIELD.appKeyEscrow, record.appKey.escrow],
  )
  if (record.nwkKey !== undefined)
    fields.push([FIELD.nwkKeyRootUse, record.nwkKey.rootUse], [FIELD.nwkKeyEscrow, record.nwkKey.escrow])
  return encodeRecord(RECORD_TYPE.device, storageKeyId, fields, tag)
}

/**
 * Reads a device record. This does not say that it is genuine: inside the trust boundary use `openRecord`.
 * @throws HsmError record_malformed, record_format_unsupported, record_type_mismatch
 */
export function decodeDeviceRecord(bytes: Buffer): DeviceRecord {
  const fields = splitRecord(bytes, RECORD_TYPE.device)
  const macVersion = MAC_VERSIONS[takeField(fields, FIELD.macVersion, 1).readUInt8()]
  if (macVersion === undefined) throw new HsmError('record_malformed', 'macVersion')
  if (takeField(fields, FIELD.kdf, 1).readUInt8() !== KDF_RANDOM)
    throw new HsmError('record_format_unsupported', 'key derivation')
  const appKey = takeBlobs(fields, FIELD.appKeyRootUse, FIELD.appKeyEscrow)
  const nwkKey = takeBlobs(fields, FIELD.nwkKeyRootUse, FIELD.nwkKeyEscrow)
  if (appKey === undefined || (nwkKey !== undefined) !== (macVersion === '1.1.0'))
    throw new HsmError('record_malformed', 'keys do not fit the LoRaWAN version')
  const record: DeviceRecord = {
    deviceId: takeField(fields, FIELD.deviceId, DEVICE_ID_BYTES),
    devEui: devEuiFromBytes(takeField(fields, FIELD.devEui, 8)),
    joinEui: joinEuiFromBytes(takeField(fields, FIELD.joinEui, 8)),
    macVersion,
    recordVersion: takeField(fields, FIELD.recordVersion, 4).readUInt32BE(),
    keyGeneration: takeField(fields, FIELD.keyGeneration, 2).readUInt16BE(),
    owner: takeField(fields, FIELD.owner, OWNER_ID_BYTES),
    applicationServers: decodeTexts(takeField(fields, FIELD.applicationServers)),
    networkIsApplicationServer: takeFlag(fields, FIELD.networkIsApplicationServer),
    networks: decodeNetworks(takeField(fields, FIELD.networks)),
    receiptSalt: takeField(fields, FIELD.receiptSalt, RECEIPT_SALT_BYTES),
    appKey,
    ...(nwkKey && { nwkKey }),
  }
  refuseRest(fields)
  return record
}

function takeBlobs(fields: Map<number, Buffer>, rootUseId: number, escrowId: number): RootKeyBlobs | undefined {
  const rootUse = takeOptional(fields, rootUseId, ROOT_BLOB_BYTES)
  const escrow = takeOptional(fields, escrowId, ROOT_BLOB_BYTES)
  if (rootUse === undefined && escrow === undefined) return undefined
  if (rootUse === undefined || escrow === undefined) throw new HsmError('record_malformed', 'one of two key blobs')
  return { rootUse, escrow }
}

function takeFlag(fields: Map<number, Buffer>, id: number): boolean {
  const value = takeOptional(fields, id, 1)
  if (value !== undefined && value[0] !== 1) throw new HsmError('record_malformed', 'flag')
  return value !== undefined
}

function decodeNetworks(bytes: Buffer): NetId[] {
  if (bytes.length % 3 !== 0 || bytes.length > 3 * MAX_NETWORKS) throw new HsmError('record_malformed', 'networks')
  return Array.from({ length: bytes.length / 3 }, (_, i) => netIdFromBytes(bytes.subarray(3 * i, 3 * i + 3)))
}

/** A list of texts: length (1) and UTF-8 each. */
function encodeTexts(texts: readonly string[]): Buffer {
  return Buffer.concat(texts.flatMap((text) => [uint8(Buffer.byteLength(text)), Buffer.from(text)]))
}

function decodeTexts(bytes: Buffer): string[] {
  const texts: string[] = []
  let offset = 0
  while (offset < bytes.length) {
    const length = bytes.readUInt8(offset)
    const end = offset + 1 + length
    if (end > bytes.length || texts.length === MAX_APPLICATION_SERVERS) throw new HsmError('record_malformed', 'list')
    texts.push(bytes.toString('utf8', offset + 1, end))
    offset = end
  }
  return texts
}
