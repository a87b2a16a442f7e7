import type { RecordChange } from '../contract/order.ts'
import { HsmError } from '../errors.ts'
import { MAX_ORDER_CHANGES } from '../orders/order.ts'
import { DEVICE_ID_BYTES } from '../records/device-record.ts'
import { STORAGE_KEY_ID_BYTES } from '../records/format.ts'
import { KEK_ID_BYTES } from '../records/kek-record.ts'
import type { BackendSettings } from '../token/settings.ts'
import type { CheckValues } from '../token/token.ts'
import { decodeBackendSettings, encodeBackendSettings } from './backend-settings.ts'
import { decodeCheckValues, encodeCheckValues } from './check-values.ts'
import { Members, parseMembers } from '../members.ts'

const FORMAT = 'mortise-store-1'
export const HSM_ID_BYTES = 8
const SIGNER_ID_BYTES = 16
/** Orders whose outcome the database has not yet acknowledged. */
export const MAX_UNACKNOWLEDGED_ORDERS = 16
/** About a million changed or removed records. */
export const MAX_STORE_BYTES = 64 * 1024 * 1024
/** The same with the header and tag of the sealed file. */
export const MAX_STORE_FILE_BYTES = MAX_STORE_BYTES + 1024

/** What the HSM process keeps, sealed, between two starts. */
export interface StoreState {
  /** 8 bytes. */
  readonly hsmId: Buffer
  /** 8 bytes: names the storage keys in every record. */
  readonly storageKeyId: Buffer
  /** RFC 3339, UTC. */
  readonly createdAt: string
  /** Rises by one with every order: what the guard against a rolled-back store compares. */
  readonly epoch: number
  /** SPKI, DER, of Ed25519 (operator, receipts) and RSA-3072 (import). */
  readonly operatorPublicKey: Buffer
  readonly importPublicKey: Buffer
  readonly receiptPublicKey: Buffer
  readonly checkValues: CheckValues
  readonly backend: BackendSettings
  /** Record id (32 hex digits) -> the lowest record version still accepted; 0xffffffff = removed for ever. */
  readonly floors: ReadonlyMap<string, number>
  /** `kind recipient label` -> the KEK id (32 hex digits) that the label names for ever. */
  readonly labels: ReadonlyMap<string, string>
  /** `kind recipient` -> the KEK version given last. */
  readonly kekVersions: ReadonlyMap<string, number>
  /** Signer id (32 hex digits) -> the sequence number that it used last. */
  readonly lastSequence: ReadonlyMap<string, number>
  /**
   * The number that a worker got last. Numbers are never given twice and none is left out, over the whole life of the
   * HSM: a chain of receipts that somebody keeps back is a missing number.
   */
  readonly lastWorker: number
  /** Name of the last boot, milliseconds since 1970: see `Welcome.bootEpoch`. */
  readonly lastBoot: number
  readonly unacknowledged: readonly UnacknowledgedOrder[]
}

/** The outcome of an order, kept until the database has it, so that a repetition gets the same answer. */
export interface UnacknowledgedOrder {
  /** 32 hex digits. */
  readonly signer: string
  readonly sequence: number
  readonly orderDigest: Buffer
  readonly records: readonly RecordChange[]
  readonly receipt: Buffer
}

/**
 * Writes a state as the payload of the sealed store: JSON, bytes in base64. It is read back before it is given out,
 * because a store that cannot be read again is lost with every key in it.
 * @throws HsmError order_backlog_full, store_damaged (a value that {@link decodeStoreState} would refuse)
 */
export function encodeStoreState(state: StoreState): Buffer {
  if (state.unacknowledged.length > MAX_UNACKNOWLEDGED_ORDERS) throw new HsmError('order_backlog_full')
  const text = JSON.stringify({
    format: FORMAT,
    hsmId: state.hsmId.toString('hex'),
    storageKeyId: state.storageKeyId.toString('hex'),
    createdAt: state.createdAt,
    epoch: state.epoch,
    operatorPublicKey: state.operatorPublicKey.toString('base64'),
    importPublicKey: state.importPublicKey.toString('base64'),
    receiptPublicKey: state.receiptPublicKey.toString('base64'),
    checkValues: encodeCheckValues(state.checkValues),
    backend: encodeBackendSettings(state.backend),
    floors: [...state.floors],
    labels: [...state.labels],
    kekVersions: [...state.kekVersions],
    lastSequence: [...state.lastSequence],
    lastWorker: state.lastWorker,
    lastBoot: state.lastBoot,
    unacknowledged: state.unacknowledged.map(encodeOrder),
  })
  const payload = Buffer.from(text)
  decodeStoreState(payload)
  return payload
}

/** @throws HsmError store_damaged, naming the member */
export function decodeStoreState(payload: Buffer): StoreState {
  if (payload.length > MAX_STORE_BYTES) throw new HsmError('store_damaged', 'store: size')
  const members = parseMembers(payload, 'store')
  const format = members.text('format')
  if (format !== FORMAT) throw new HsmError('store_damaged', 'store: format is not supported')
  const state: StoreState = {
    hsmId: members.hexBytes('hsmId', HSM_ID_BYTES),
    storageKeyId: members.hexBytes('storageKeyId', STORAGE_KEY_ID_BYTES),
    createdAt: members.time('createdAt'),
    epoch: members.integer('epoch', 0),
    operatorPublicKey: members.base64('operatorPublicKey'),
    importPublicKey: members.base64('importPublicKey'),
    receiptPublicKey: members.base64('receiptPublicKey'),
    checkValues: decodeCheckValues(members.object('checkValues')),
    backend: decodeBackendSettings(members.object('backend')),
    floors: readMap(members, 'floors', isId, isUint32),
    labels: readMap(members, 'labels', isLabelName, isId),
    kekVersions: readMap(members, 'kekVersions', isRecipientName, isUint32),
    lastSequence: readMap(members, 'lastSequence', isId, isSequence),
    lastWorker: members.integer('lastWorker', 0, 0xffffffff),
    lastBoot: members.integer('lastBoot', 0, Number.MAX_SAFE_INTEGER),
    unacknowledged: members.list('unacknowledged', MAX_UNACKNOWLEDGED_ORDERS).map(decodeOrder),
  }
  members.end()
  return state
}

function encodeOrder(order: UnacknowledgedOrder): object {
  return {
    signer: order.signer,
    sequence: order.sequence,
    orderDigest: order.orderDigest.toString('base64'),
    records: order.records.map(({ kind, id, record }) => ({
      kind,
      id: id.toString('hex'),
      ...(record && { record: record.toString('base64') }),
    })),
    receipt: order.receipt.toString('base64'),
  }
}

function decodeOrder(value: unknown): UnacknowledgedOrder {
  const members = new Members(value, 'store.unacknowledged')
  const order: UnacknowledgedOrder = {
    signer: members.hex('signer', SIGNER_ID_BYTES),
    sequence: members.integer('sequence', 0),
    orderDigest: members.base64('orderDigest'),
    records: members.list('records', MAX_ORDER_CHANGES).map(decodeChange),
    receipt: members.base64('receipt'),
  }
  members.end()
  return order
}

function decodeChange(value: unknown): RecordChange {
  const members = new Members(value, 'store.unacknowledged.records')
  const kind = members.text('kind')
  if (kind !== 'device' && kind !== 'kek') return members.fail('kind')
  const change: RecordChange = {
    kind,
    id: members.hexBytes('id', kind === 'device' ? DEVICE_ID_BYTES : KEK_ID_BYTES),
    record: members.has('record') ? members.base64('record') : undefined,
  }
  members.end()
  return change
}

/**
 * A map as a list of pairs, as long as {@link MAX_STORE_BYTES} allows. A key that comes twice would hide a value: refused.
 */
function readMap<Value extends string | number>(
  members: Members,
  name: string,
  isKey: (key: unknown) => key is string,
  isValue: (value: unknown) => value is Value,
): Map<string, Value> {
  const map = new Map<string, Value>()
  for (const pair of members.list(name, Infinity)) {
    if (!Array.isArray(pair) || pair.length !== 2) return members.fail(name)
    const [key, value] = pair as [unknown, unknown]
    if (!isKey(key) || !isValue(value) || map.has(key)) return members.fail(name)
    map.set(key, value)
  }
  return map
}

function isUint32(value: unknown): value is number {
  return isSequence(value) && value <= 0xffffffff
}

function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** A record or signer id: 16 bytes in hex. */
function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
}

function isRecipientName(value: unknown): value is string {
  return typeof value === 'string' && /^(ns|as) [\x21-\x7e]+$/.test(value)
}

function isLabelName(value: unknown): value is string {
  return typeof value === 'string' && /^(ns|as) [\x21-\x7e]+ [\x21-\x7e]+$/.test(value)
}
