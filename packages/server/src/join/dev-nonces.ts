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
/** From here on the bitmap is the smaller form. */
const MAX_LIST = BITMAP_BYTES / 2

/** Whether a DevNonce may be used under the rule of the device's LoRaWAN version (LoRaWAN 1.0.3 §6.2.4, 1.0.4 §6.2.2). */
export function acceptsDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): boolean {
  if (history === undefined) return true
  if (rule === 'counter') return devNonce > highestDevNonce(history)
  return !hasDevNonce(history, devNonce)
}

/** The history with one more DevNonce, which {@link acceptsDevNonce} has accepted. */
export function addDevNonce(history: Buffer | undefined, rule: DevNonceRule, devNonce: number): Buffer {
  if (rule === 'counter') return encodeNumbers(KIND.counter, [devNonce])
  if (history === undefined) return encodeNumbers(KIND.list, [devNonce])
  if (history[0] === KIND.bitmap) return withBit(Buffer.from(history), devNonce)
  const nonces = [...listDevNonces(history), devNonce].sort((a, b) => a - b)
  return nonces.length <= MAX_LIST ? encodeNumbers(KIND.list, nonces) : encodeBitmap(nonces)
}

/** How many DevNonces can not be used any more. */
export function countDevNonces(history: Buffer): number {
  if (history[0] === KIND.counter) return highestDevNonce(history) + 1
  return listDevNonces(history).length
}

function hasDevNonce(history: Buffer, devNonce: number): boolean {
  if (history[0] === KIND.bitmap) return ((history[1 + (devNonce >> 3)] ?? 0) & (1 << (devNonce & 7))) !== 0
  if (history[0] === KIND.counter) return devNonce <= highestDevNonce(history)
  return listDevNonces(history).includes(devNonce)
}

function highestDevNonce(history: Buffer): number {
  return listDevNonces(history).at(-1) ?? -1
}

function listDevNonces(history: Buffer): number[] {
  if (history[0] === KIND.bitmap) return listBits(history.subarray(1))
  return Array.from({ length: (history.length - 1) / 2 }, (_, i) => history.readUInt16BE(1 + 2 * i))
}

function listBits(bitmap: Buffer): number[] {
  const nonces: number[] = []
  bitmap.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) nonces.push(8 * index + bit)
  })
  return nonces
}

function encodeNumbers(kind: number, nonces: readonly number[]): Buffer {
  const bytes = Buffer.alloc(1 + 2 * nonces.length)
  bytes.writeUInt8(kind)
  nonces.forEach((nonce, index) => bytes.writeUInt16BE(nonce, 1 + 2 * index))
  return bytes
}

function encodeBitmap(nonces: readonly number[]): Buffer {
  const bytes = Buffer.alloc(1 + BITMAP_BYTES)
  bytes.writeUInt8(KIND.bitmap)
  for (const nonce of nonces) withBit(bytes, nonce)
  return bytes
}

function withBit(bytes: Buffer, nonce: number): Buffer {
  const index = 1 + (nonce >> 3)
  bytes.writeUInt8((bytes[index] ?? 0) | (1 << (nonce & 7)), index)
  return bytes
}
