import { joinRequest, rejoinRequest, type RejoinType } from '../air-requests.ts'
import type { FuzzDevice } from '../device-keys.ts'
import { flipBit, mutateBytes, replaced } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'
import { bigEndian, prefixed } from './cursor.ts'
import type { KnownDevice, KnownRecords } from './known-records.ts'

/** The members of a join command, each of any size. */
export interface JoinMembers {
  deviceRecord: Buffer
  frame: Buffer
  netId: Buffer
  devAddr: Buffer
  dlSettings: number
  rxDelay: number
  cfList: Buffer | undefined
  joinNonce: number
  nsKek: Buffer | undefined
  asKek: Buffer | undefined
  flag: number
}

const STORAGE_KEY_ID_AT = 6
const REJOIN_TYPES: readonly RejoinType[] = [0, 1, 1, 2]
const OPT_NEG = 0x80
const ODD_NUMBERS = [0, 1, 0xfffffe, 0xffffff, 0x1000000, 0x7fffffff, 0xffffffff]

export function encodeJoin(members: JoinMembers): Buffer {
  const { deviceRecord, frame, netId, devAddr, dlSettings, rxDelay, cfList, joinNonce, nsKek, asKek, flag } = members
  return Buffer.concat([
    ...[prefixed(deviceRecord), prefixed(frame), netId, devAddr, Buffer.of(dlSettings, rxDelay), prefixed(cfList)],
    ...[bigEndian(4, joinNonce), prefixed(nsKek), prefixed(asKek), Buffer.of(flag)],
  ])
}

/** A join as an honest server asks for it; of any current device that a network may activate. */
export function honestJoin(random: Random, records: KnownRecords): JoinMembers {
  const known = random.pick(records.devices.filter(isActive))
  return honestMembers(random, records, known, joinRequest(known.device, random.below(65_536)), random.below(256))
}

/** A rejoin of any type, of a device of LoRaWAN 1.1. */
export function honestRejoin(random: Random, records: KnownRecords): JoinMembers {
  const known = random.pick(records.devices.filter((device) => isActive(device) && device.device.nwkKey !== undefined))
  return honestMembers(random, records, known, rejoinOf(random, known.device), OPT_NEG | random.below(256))
}

function isActive({ current, networks }: KnownDevice): boolean {
  return current && networks.length > 0
}

/** Of any network: the trust boundary does not hold the NetID of the frame against anything, and cannot check that MIC. */
function rejoinOf(random: Random, device: FuzzDevice): Buffer {
  const netId = random.bytes(3).toString('hex')
  const fields = { type: random.pick(REJOIN_TYPES), netId, count: random.below(65_536), mic: random.bytes(4) }
  return rejoinRequest(device, fields)
}

function honestMembers(
  random: Random,
  records: KnownRecords,
  known: KnownDevice,
  frame: Buffer,
  dlSettings: number,
): JoinMembers {
  const { owner, networks, applicationServers, networkIsApplicationServer } = known
  const netId = random.pick(networks)
  const keks = records.keks.filter((kek) => kek.current && kek.owner === owner)
  const nsKeks = keks.filter(({ kind, recipient }) => kind === 'ns' && recipient === netId)
  const asKeks = keks.filter(({ kind, recipient }) => kind === 'as' && applicationServers.includes(recipient))
  const toNetwork = networkIsApplicationServer && random.chance(0.5)
  const asKek = asKeks.length > 0 && !toNetwork && random.chance(0.7) ? random.pick(asKeks).bytes : undefined
  return {
    deviceRecord: known.bytes,
    frame,
    netId: Buffer.from(netId, 'hex'),
    devAddr: random.bytes(4),
    dlSettings,
    rxDelay: random.below(16),
    cfList: random.chance(0.4) ? random.bytes(16) : undefined,
    joinNonce: random.between(1, 0xffffff),
    nsKek: nsKeks.length > 0 && random.chance(0.5) ? random.pick(nsKeks).bytes : undefined,
    asKek,
    flag: toNetwork ? random.between(1, 2) : 0,
  }
}

/** One member that is another's, or nobody's. */
export function spoilJoin(random: Random, records: KnownRecords, members: JoinMembers): void {
  random.weighted<() => void>([
    [5, () => (members.deviceRecord = spoilRecord(random, records, members.deviceRecord))],
    [4, () => (members.asKek = spoilRecord(random, records, members.asKek ?? random.pick(records.keks).bytes))],
    [4, () => (members.nsKek = spoilRecord(random, records, members.nsKek ?? random.pick(records.keks).bytes))],
    [4, () => (members.frame = spoilAirFrame(random, records, members))],
    [2, () => (members.netId = random.chance(0.5) ? random.bytes(3) : Buffer.from('000024', 'hex'))],
    [2, () => (members.joinNonce = random.pick(ODD_NUMBERS))],
    [1, () => (members.rxDelay = random.below(256))],
    [1, () => (members.dlSettings = random.below(256))],
    [1, () => (members.cfList = random.bytes(random.below(40)))],
    [2, () => (members.flag = random.chance(0.5) ? random.between(1, 2) : random.below(256))],
  ])()
}

/** A record with damage; or another one, which may be genuine. */
export function spoilRecord(random: Random, records: KnownRecords, bytes: Buffer): Buffer {
  const other = random.pick(records.bytes)
  return random.weighted<() => Buffer>([
    [5, () => flipBit(random, bytes)],
    [4, () => other],
    [3, () => mutateBytes(random, bytes, records.bytes)],
    [1, () => replaced(bytes, STORAGE_KEY_ID_AT, 8, random.bytes(8))],
    [1, () => Buffer.concat([bytes.subarray(0, -16), other.subarray(-16)])],
    [
      1,
      () => Buffer.concat([other.subarray(0, random.below(other.length)), bytes.subarray(random.below(bytes.length))]),
    ],
    [1, () => random.bytes(random.below(200))],
    [1, () => Buffer.alloc(random.pick([4096, 4097, 70_000]), bytes)],
  ])()
}

function spoilAirFrame(random: Random, records: KnownRecords, { frame, deviceRecord }: JoinMembers): Buffer {
  const stranger: KnownDevice = random.pick(records.devices)
  // Of LoRaWAN 1.0 too, which has no rejoin-requests.
  const own = records.device(deviceRecord) ?? stranger
  return random.weighted<() => Buffer>([
    [4, () => flipBit(random, frame)],
    [2, () => joinRequest(stranger.device, random.below(65_536))],
    [1, () => rejoinOf(random, stranger.device)],
    [3, () => rejoinOf(random, own.device)],
    [1, () => Buffer.concat([frame.subarray(0, 1), Buffer.of(random.below(5)), frame.subarray(2)])],
    [1, () => Buffer.concat([frame.subarray(0, -4), random.bytes(4)])],
    [2, () => mutateBytes(random, frame)],
    [1, () => frame.subarray(0, random.below(24))],
    [1, () => Buffer.concat([frame, random.bytes(random.between(1, 30))])],
  ])()
}
