import { isRequestOf, JOIN_REQUEST, readAirRequest } from '../air-requests.ts'
import { hasOptNeg, type JoinParameters } from '../lorawan.ts'
import { type Cursor, readAll } from './cursor.ts'
import type { KnownDevice, KnownKek, KnownRecords, KnownSession } from './known-records.ts'

/**
 * What the trust boundary may do for a frame, worked out from its bytes and the records that are known to be genuine.
 * `malformed`: the frame cannot be read. `refused`: something in it does not hold.
 */
export type Expected<Accepted> = 'malformed' | 'refused' | Accepted

export interface AcceptedJoin {
  readonly device: KnownDevice
  readonly frame: Buffer
  readonly parameters: JoinParameters
  readonly joinNonce: number
  readonly nsKek: KnownKek | undefined
  /** How the AppSKey leaves: not at all, in clear, or under this KEK. */
  readonly appSKey: 'none' | 'clear' | KnownKek
}

export interface AcceptedRelease {
  readonly session: KnownSession
  readonly asKek: KnownKek
}

const MAX_JOIN_NONCE = 0xffffff
const MAX_RX_DELAY = 15
const CF_LIST_BYTES = 16

export function expectJoin(records: KnownRecords, payload: Buffer): Expected<AcceptedJoin> {
  const command = readAll(payload, readJoinCommand)
  if (command === undefined || command.flag > 2) return 'malformed'
  const { frame, netId, devAddr, dlSettings, rxDelay, cfList, joinNonce } = command
  const device = records.device(command.deviceRecord)
  if (device === undefined || !isRequestOf(device.device, frame)) return 'refused'
  if (readAirRequest(frame)?.type !== JOIN_REQUEST && !hasOptNeg(dlSettings)) return 'refused'
  if (joinNonce < 1 || joinNonce > MAX_JOIN_NONCE || rxDelay > MAX_RX_DELAY) return 'refused'
  if (cfList !== undefined && cfList.length !== CF_LIST_BYTES) return 'refused'
  if (!device.networks.includes(netId)) return 'refused'
  const nsKek = command.nsKek && networkKek(records, device, netId, command.nsKek)
  const asKek = command.asKek && applicationKek(records, device, command.asKek)
  if (nsKek === 'refused' || asKek === 'refused') return 'refused'
  const appSKeyToNetwork = command.flag > 0
  if (appSKeyToNetwork && (!device.networkIsApplicationServer || asKek !== undefined)) return 'refused'
  const parameters = { netId, devAddr, dlSettings, rxDelay, cfList: cfList?.toString('hex') }
  const appSKey = appSKeyToNetwork ? (command.flag === 1 && nsKek) || 'clear' : (asKek ?? 'none')
  return { device, frame, parameters, joinNonce, nsKek, appSKey }
}

export function expectVerify(records: KnownRecords, payload: Buffer): Expected<'verified'> {
  const command = readAll(payload, (cursor) => ({ deviceRecord: cursor.bytes(), frame: cursor.bytes() }))
  if (command === undefined) return 'malformed'
  const device = records.device(command.deviceRecord)
  return device !== undefined && isRequestOf(device.device, command.frame) ? 'verified' : 'refused'
}

/** `fresh` is a session that the case itself has made. */
export function expectRelease(
  records: KnownRecords,
  payload: Buffer,
  fresh: KnownSession | undefined,
): Expected<AcceptedRelease> {
  const command = readAll(payload, (cursor) => ({
    deviceRecord: cursor.bytes(),
    sessionRecord: cursor.bytes(),
    asKek: cursor.bytes(),
  }))
  if (command === undefined) return 'malformed'
  const device = records.device(command.deviceRecord)
  const session = fresh?.bytes.equals(command.sessionRecord) === true ? fresh : records.session(command.sessionRecord)
  if (device === undefined || session === undefined) return 'refused'
  if (session.deviceId !== device.id || session.owner !== device.owner) return 'refused'
  const asKek = applicationKek(records, device, command.asKek)
  return asKek === 'refused' ? 'refused' : { session, asKek }
}

/** Whether a payload acknowledges something, in which case nothing is answered. */
export function isAcknowledgement(kind: 'order' | 'receipts', payload: Buffer): boolean {
  return payload.length === (kind === 'order' ? 16 + 6 : 6 + 4 + 6)
}

function readJoinCommand(cursor: Cursor) {
  return {
    deviceRecord: cursor.bytes(),
    frame: cursor.bytes(),
    netId: cursor.take(3).toString('hex'),
    devAddr: cursor.take(4).toString('hex'),
    dlSettings: cursor.number(1),
    rxDelay: cursor.number(1),
    cfList: cursor.optional(),
    joinNonce: cursor.number(4),
    nsKek: cursor.optional(),
    asKek: cursor.optional(),
    flag: cursor.number(1),
  }
}

function networkKek(records: KnownRecords, device: KnownDevice, netId: string, bytes: Buffer): KnownKek | 'refused' {
  const kek = records.kek(bytes, 'ns')
  return kek !== undefined && kek.recipient === netId && kek.owner === device.owner ? kek : 'refused'
}

function applicationKek(records: KnownRecords, device: KnownDevice, bytes: Buffer): KnownKek | 'refused' {
  const kek = records.kek(bytes, 'as')
  const allowed = kek !== undefined && device.applicationServers.includes(kek.recipient) && kek.owner === device.owner
  return allowed ? kek : 'refused'
}
