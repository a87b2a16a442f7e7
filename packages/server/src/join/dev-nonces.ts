import { MAX_DEV_NONCE, type devNonceRule } from '@mortise/lorawan'
import {
  BITMAP_BYTES,
  countNonces,
  decodeRuns,
  encodeRuns,
  hasNonce,
  insertNonce,
  KIND,
  lastNumber,
  setBit,
} from './dev-nonce-forms.ts'

/**
 * Every DevNonce ever accepted for a key set, exactly: a set that forgets lets an old frame in again. An absent history
 * is an empty one; how one is stored stands in dev-nonce-forms.ts.
 */
export type DevNonceRule = ReturnType<typeof devNonceRule>

/** DevNonces that there are. */
export const DEV_NONCES = MAX_DEV_NONCE + 1

/**
 * Whether a DevNonce may be used under the rule of the device's LoRaWAN version (LoRaWAN 1.0.3 §6.2.4, 1.0.4 §6.2.2).
 * The version alone decides: a device of 1.0.3 that counts may come back with a number that it left out.
 * @throws StorageError database_corrupt
 */
export function acceptsDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): boolean {
  if (history === undefined) return true
  if (rule === 'counter') return devNonce > highestDevNonce(history)
  if (history[0] === KIND.bitmap) return ((history[1 + (devNonce >> 3)] ?? 0xff) & (1 << (devNonce & 7))) === 0
  return !hasNonce(decodeRuns(history, devNonce), devNonce)
}

/**
 * The history with one more DevNonce, which {@link acceptsDevNonce} has accepted.
 * @throws StorageError database_corrupt
 */
export function addDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): Buffer {
  if (rule === 'counter') return Buffer.of(KIND.counter, devNonce >> 8, devNonce & 0xff)
  if (history === undefined) return encodeRuns(Uint16Array.of(devNonce, devNonce))
  if (history[0] === KIND.bitmap) return addToBitmap(history, devNonce)
  return encodeRuns(insertNonce(decodeRuns(history), devNonce))
}

export interface DevNonceSummary {
  /** How many cannot be used any more: all up to the last one of a counter. */
  readonly used: number
  /** Both are -1 when none is used. */
  readonly lowest: number
  readonly highest: number
}

/** @throws StorageError database_corrupt */
export function summariseDevNonces(history: Buffer | undefined): DevNonceSummary {
  const runs = history === undefined ? new Uint16Array() : decodeRuns(history)
  return { used: countNonces(runs), lowest: runs[0] ?? -1, highest: runs.at(-1) ?? -1 }
}

/** Whether no DevNonce at all is left under the rule. @throws StorageError database_corrupt */
export function exhaustsDevNonces(history: Buffer | undefined, rule: DevNonceRule): boolean {
  const { used, highest } = summariseDevNonces(history)
  return rule === 'counter' ? highest === MAX_DEV_NONCE : used === DEV_NONCES
}

/** Of any history: one of a device whose version was changed must not fall behind either. */
function highestDevNonce(history: Buffer): number {
  return history[0] === KIND.counter ? lastNumber(history) : (decodeRuns(history).at(-1) ?? -1)
}

function addToBitmap(history: Buffer, devNonce: number): Buffer {
  const bitmap = Buffer.from(history)
  setBit(bitmap, devNonce)
  return countLeadingNonces(bitmap) > BITMAP_BYTES ? bitmap : encodeRuns(decodeRuns(bitmap))
}

/**
 * The first three nonces of every run: as steps each takes a byte at least, so that this says without decoding that the
 * bitmap is smaller. By words of 32: a nonce that is left out has the three before it in the map.
 */
function countLeadingNonces(bitmap: Buffer): number {
  let count = 0
  let before = 0
  for (let at = 1; at + 4 <= bitmap.length; at += 4) {
    const word = bitmap.readInt32LE(at)
    const three = ((word << 1) | (before >>> 31)) & ((word << 2) | (before >>> 30)) & ((word << 3) | (before >>> 29))
    count += countBits(word & ~three)
    before = word
  }
  return count
}

/** Bits set in a word of 32, added up in pairs, fours and bytes. */
function countBits(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
