import type { devNonceRule } from '@mortise/lorawan'

/**
 * Every DevNonce ever accepted for a key set, exactly: a set that forgets lets an old frame in again.
 *
 *   kind 1 | last (2)                 counter devices (LoRaWAN 1.0.4, 1.1): what is not above the last is used
 *   kind 2 | nonce (2, ascending)*    random devices with few joins
 *   kind 3 | bitmap (8192)            random devices with many: bit n of the map is DevNonce n
 *
 * Numbers are big-endian. An absent history is an empty one.
 */
export type DevNonceRule = ReturnType<typeof devNonceRule>

const KIND = { counter: 1, list: 2, bitmap: 3 } as const
const BITMAP_BYTES = 8192
/** A longer list would be larger than the bitmap. */
const MAX_LIST_BYTES = 1 + BITMAP_BYTES

/** Whether a DevNonce may be used under the rule of the device's LoRaWAN version (LoRaWAN 1.0.3 §6.2.4, 1.0.4 §6.2.2). */
export function acceptsDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): boolean {
  if (history === undefined) return true
  return rule === 'counter' ? devNonce > highestDevNonce(history) : !hasDevNonce(history, devNonce)
}

/** The history with one more DevNonce, which {@link acceptsDevNonce} has accepted. */
export function addDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): Buffer {
  if (rule === 'counter') return Buffer.concat([Buffer.from([KIND.counter]), uint16(devNonce)])
  if (history === undefined) return Buffer.concat([Buffer.from([KIND.list]), uint16(devNonce)])
  if (history[0] === KIND.bitmap) return setBit(Buffer.from(history), devNonce)
  if (history.length + 2 > MAX_LIST_BYTES) return setBit(toBitmap(history), devNonce)
  const at = positionOf(history, devNonce)
  return Buffer.concat([history.subarray(0, at), uint16(devNonce), history.subarray(at)])
}

/** How many DevNonces cannot be used any more. */
export function countDevNonces(history: Buffer): number {
  if (history[0] === KIND.counter) return highestDevNonce(history) + 1
  if (history[0] === KIND.list) return (history.length - 1) / 2
  let count = 0
  for (const byte of history.subarray(1)) for (let bits = byte; bits !== 0; bits &= bits - 1) count += 1
  return count
}

function hasDevNonce(history: Buffer, devNonce: number): boolean {
  if (history[0] === KIND.bitmap) return ((history[1 + (devNonce >> 3)] ?? 0) & (1 << (devNonce & 7))) !== 0
  if (history[0] === KIND.counter) return devNonce <= highestDevNonce(history)
  const at = positionOf(history, devNonce)
  return at < history.length && history.readUInt16BE(at) === devNonce
}

/** Of a counter's history, or of a list: a device whose version was changed must not fall behind. */
function highestDevNonce(history: Buffer): number {
  if (history[0] !== KIND.bitmap) return history.readUInt16BE(history.length - 2)
  for (let index = history.length - 1; index > 0; index--) {
    const byte = history[index] ?? 0
    if (byte !== 0) return 8 * (index - 1) + 31 - Math.clz32(byte)
  }
  return -1
}

/** Where in the list `devNonce` stands, or would have to: the offset of the first number that is not below it. */
function positionOf(list: Buffer, devNonce: number): number {
  let low = 0
  let high = (list.length - 1) / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if (list.readUInt16BE(1 + 2 * middle) < devNonce) low = middle + 1
    else high = middle
  }
  return 1 + 2 * low
}

function toBitmap(list: Buffer): Buffer {
  const bitmap = Buffer.alloc(1 + BITMAP_BYTES)
  bitmap.writeUInt8(KIND.bitmap)
  for (let at = 1; at < list.length; at += 2) setBit(bitmap, list.readUInt16BE(at))
  return bitmap
}

function setBit(bitmap: Buffer, devNonce: number): Buffer {
  const index = 1 + (devNonce >> 3)
  bitmap.writeUInt8((bitmap[index] ?? 0) | (1 << (devNonce & 7)), index)
  return bitmap
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
