import { devAddrFromBytes, devAddrToBytes, netIdFromBytes, netIdToBytes } from '@mortise/lorawan'
import { crc32 } from 'node:zlib'
import { type JoinCommit, type JoinState, type Session, SESSIONS_KEPT, StorageError } from '../ports.ts'

/**
 * What a key set has of its joins, in one value, so that a join reads and writes one row (docs/adr/005-database-integrity.md):
 *
 *   version (1) | key set (6) | JoinNonce (3) | DevNonce (2) | NetID (3) | DevAddr (4) | joined at (6) | request digest (16)
 *   | KEKs (1; 1 = NS, 2 = AS) | NS KEK id (16) | AS KEK id (16) | next RJcount1 (3) | SessionKeyID, length first (1 + n)
 *   | DevNonces, length first (2 + n) | number of sessions (1) | session*, newest first | CRC-32 (4)
 *   session: length of the rest (2) | JoinNonce (3) | NetID (3) | DevAddr (4) | created at (6) | SessionKeyID (1 + n) | record
 *
 * Numbers are big-endian, times milliseconds since 1970. The checksum is against faults, not against people: a bit that
 * flipped on the disk must refuse a device instead of giving a nonce out again.
 */
const VERSION = 1
const AT = {
  keySet: 1,
  joinNonce: 7,
  devNonce: 10,
  netId: 12,
  devAddr: 15,
  joinedAt: 19,
  requestDigest: 25,
  keks: 41,
  nsKekId: 42,
  asKekId: 58,
  nextRjCount1: 74,
  sessionKeyId: 77,
} as const
const ID_BYTES = 16
const CHECKSUM_BYTES = 4
const HAS_NS_KEK = 1
const HAS_AS_KEK = 2
/** JoinNonce, NetID, DevAddr, time. */
const SESSION_HEAD_BYTES = 16
const NO_SESSIONS = Buffer.alloc(1)

/** The row after a join: its session is the newest, and the oldest beyond those that are kept goes. */
export function encodeJoinRow(join: JoinCommit): Buffer {
  const { last, previous, sessionRecord } = join
  const kept = previous === undefined ? NO_SESSIONS : sessionsOf(previous.stored, SESSIONS_KEPT - 1)
  const sessionBytes = SESSION_HEAD_BYTES + 1 + last.sessionKeyId.length + sessionRecord.length
  const row = newRow(join, 1 + 2 + sessionBytes + kept.length - 1)
  let offset = endOfDevNonces(row)
  offset = row.writeUInt8((kept[0] ?? 0) + 1, offset)
  offset = row.writeUInt16BE(sessionBytes, offset)
  row.copyWithin(offset, AT.joinNonce, AT.devNonce)
  row.copyWithin(offset + 3, AT.netId, AT.requestDigest)
  offset = writeShort(row, offset + SESSION_HEAD_BYTES, last.sessionKeyId)
  row.set(sessionRecord, offset)
  row.set(kept.subarray(1), offset + sessionRecord.length)
  return seal(row)
}

/** Of a key set that inherits damaged nonces: {@link decodeJoinRow} refuses it. */
export const DAMAGED_ROW = Buffer.alloc(1)

/** The row of a key set that inherits the nonces of another one, and none of its sessions. */
export function encodeInheritedRow(keySet: number, state: JoinState): Buffer {
  const row = newRow({ keySet, ...state }, 1)
  row.writeUInt8(0, endOfDevNonces(row))
  return seal(row)
}

/**
 * Reads what `keySet` has, whose JoinNonce stands beside it as well; `undefined` before the first join.
 * @throws StorageError database_corrupt
 */
export function decodeJoinRow(keySet: number, lastJoinNonce: number, row: Buffer): JoinState | undefined {
  if (lastJoinNonce === 0 && row.length === 0) return undefined
  if (!isIntact(row, keySet, lastJoinNonce))
    throw new StorageError('database_corrupt', `the nonces of key set ${keySet}`)
  const keks = row.readUInt8(AT.keks)
  const devNoncesAt = AT.sessionKeyId + 1 + row.readUInt8(AT.sessionKeyId)
  return {
    lastJoinNonce,
    devNonces: row.subarray(devNoncesAt + 2, endOfDevNonces(row)),
    nextRjCount1: row.readUIntBE(AT.nextRjCount1, 3),
    last: {
      requestDigest: row.subarray(AT.requestDigest, AT.keks),
      devNonce: row.readUInt16BE(AT.devNonce),
      joinNonce: lastJoinNonce,
      sessionKeyId: row.subarray(AT.sessionKeyId + 1, devNoncesAt),
      nsKekId: (keks & HAS_NS_KEK) === 0 ? undefined : row.subarray(AT.nsKekId, AT.nsKekId + ID_BYTES),
      asKekId: (keks & HAS_AS_KEK) === 0 ? undefined : row.subarray(AT.asKekId, AT.asKekId + ID_BYTES),
      netId: netIdFromBytes(row.subarray(AT.netId, AT.devAddr)),
      devAddr: devAddrFromBytes(row.subarray(AT.devAddr, AT.joinedAt)),
      joinedAt: row.readUIntBE(AT.joinedAt, 6),
    },
    stored: row,
  }
}

/** Newest first. */
export function decodeSessions({ stored }: JoinState): Session[] {
  let offset = endOfDevNonces(stored)
  const count = stored.readUInt8(offset)
  offset += 1
  return Array.from({ length: count }, () => {
    const start = offset + 2
    offset = start + stored.readUInt16BE(offset)
    return decodeSession(stored.subarray(start, offset))
  })
}

function decodeSession(bytes: Buffer): Session {
  const recordAt = SESSION_HEAD_BYTES + 1 + bytes.readUInt8(SESSION_HEAD_BYTES)
  return {
    sessionKeyId: bytes.subarray(SESSION_HEAD_BYTES + 1, recordAt),
    joinNonce: bytes.readUIntBE(0, 3),
    netId: netIdFromBytes(bytes.subarray(3, 6)),
    devAddr: devAddrFromBytes(bytes.subarray(6, 10)),
    createdAt: bytes.readUIntBE(10, 6),
    record: bytes.subarray(recordAt),
  }
}

/** Everything up to the sessions, with room for them and the checksum. */
function newRow(
  { keySet, last, devNonces, nextRjCount1 }: Pick<JoinCommit, 'keySet' | 'last' | 'devNonces' | 'nextRjCount1'>,
  sessionsBytes: number,
): Buffer {
  const { sessionKeyId, nsKekId, asKekId } = last
  const size = AT.sessionKeyId + 1 + sessionKeyId.length + 2 + devNonces.length + sessionsBytes + CHECKSUM_BYTES
  const row = Buffer.allocUnsafe(size)
  row.writeUInt8(VERSION, 0)
  row.writeUIntBE(keySet, AT.keySet, 6)
  row.writeUIntBE(last.joinNonce, AT.joinNonce, 3)
  row.writeUInt16BE(last.devNonce, AT.devNonce)
  row.set(netIdToBytes(last.netId), AT.netId)
  row.set(devAddrToBytes(last.devAddr), AT.devAddr)
  row.writeUIntBE(last.joinedAt, AT.joinedAt, 6)
  row.set(last.requestDigest, AT.requestDigest)
  row.writeUInt8((nsKekId ? HAS_NS_KEK : 0) | (asKekId ? HAS_AS_KEK : 0), AT.keks)
  writeKekId(row, AT.nsKekId, nsKekId)
  writeKekId(row, AT.asKekId, asKekId)
  row.writeUIntBE(nextRjCount1, AT.nextRjCount1, 3)
  const devNoncesAt = writeShort(row, AT.sessionKeyId, sessionKeyId)
  row.writeUInt16BE(devNonces.length, devNoncesAt)
  row.set(devNonces, devNoncesAt + 2)
  return row
}

function writeKekId(row: Buffer, offset: number, kekId: Buffer | undefined): void {
  if (kekId === undefined) row.fill(0, offset, offset + ID_BYTES)
  else row.set(kekId, offset)
}

/** Length (1) and bytes; returns where they end. */
function writeShort(row: Buffer, offset: number, bytes: Buffer): number {
  row.set(bytes, row.writeUInt8(bytes.length, offset))
  return offset + 1 + bytes.length
}

function endOfDevNonces(row: Buffer): number {
  const devNoncesAt = AT.sessionKeyId + 1 + row.readUInt8(AT.sessionKeyId)
  return devNoncesAt + 2 + row.readUInt16BE(devNoncesAt)
}

/** The number of sessions and the sessions themselves, at most `limit` of them. */
function sessionsOf(row: Buffer, limit: number): Buffer {
  const start = endOfDevNonces(row)
  const count = row.readUInt8(start)
  if (count <= limit) return row.subarray(start, row.length - CHECKSUM_BYTES)
  let end = start + 1
  for (let session = 0; session < limit; session++) end += 2 + row.readUInt16BE(end)
  const sessions = Buffer.from(row.subarray(start, end))
  sessions.writeUInt8(limit, 0)
  return sessions
}

function seal(row: Buffer): Buffer {
  const end = row.length - CHECKSUM_BYTES
  row.writeUInt32BE(crc32(row.subarray(0, end)), end)
  return row
}

function isIntact(row: Buffer, keySet: number, lastJoinNonce: number): boolean {
  const end = row.length - CHECKSUM_BYTES
  return (
    end > AT.sessionKeyId &&
    row[0] === VERSION &&
    row.readUInt32BE(end) === crc32(row.subarray(0, end)) &&
    row.readUIntBE(AT.keySet, 6) === keySet &&
    row.readUIntBE(AT.joinNonce, 3) === lastJoinNonce
  )
}
