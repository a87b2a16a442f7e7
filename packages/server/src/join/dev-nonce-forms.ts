import { MAX_DEV_NONCE } from '@mortise/lorawan'
import { StorageError } from '../storage/index.ts'

/**
 * The stored forms of a set of DevNonces. Every one is exact, and none is longer than 8,193 bytes. Numbers are
 * big-endian. Kinds are append-only: what was written once is read for ever.
 *
 *   kind 1 | last (2)                 counter devices: everything up to the last is used
 *   kind 2 | nonce (2, ascending)*    few random ones: smallest up to about 15
 *   kind 3 | bitmap (8192)            many: bit n & 7 of byte n >> 3 is DevNonce n. Smallest from about 8,000 random ones
 *   kind 4 | step*                    a byte for most of those in between, and next to nothing for a counter: 0, 1, 2, … n
 *                                     take 3 to 5 bytes
 *
 * A step is a distance from the nonce before, which is -1 at first, in groups of seven bits, the highest first, all but
 * the last with bit 7 set. A distance of 0 cannot be: after it stands how many nonces follow one upon the other.
 */
export const KIND = { counter: 1, list: 2, bitmap: 3, steps: 4 } as const

export const BITMAP_BYTES = 8192
/** Distance (3), 0, and what follows (3). */
const MAX_RUN_BYTES = 7

/** Ascending runs of consecutive DevNonces, first and last of each in turn; there is a gap between any two. */
export type Runs = Uint16Array

/**
 * All of a history; with `upTo`, at least what is not above it.
 * @throws StorageError database_corrupt
 */
export function decodeRuns(history: Buffer, upTo = MAX_DEV_NONCE): Runs {
  switch (history[0]) {
    case KIND.counter:
      return Uint16Array.of(0, lastNumber(history))
    case KIND.list:
      return decodeList(history)
    case KIND.bitmap:
      return decodeBitmap(history)
    case KIND.steps:
      return decodeSteps(history, upTo)
    default:
      throw corrupt('of a kind that this version does not know')
  }
}

/** The smallest form for a random device: equal sets have equal bytes. */
export function encodeRuns(runs: Runs): Buffer {
  const steps = encodeSteps(runs)
  if (steps.length > BITMAP_BYTES) return encodeBitmap(runs)
  return 1 + 2 * countNonces(runs) <= steps.length ? encodeList(runs) : steps
}

export function countNonces(runs: Runs): number {
  let count = 0
  for (let at = 0; at < runs.length; at += 2) count += lengthAt(runs, at)
  return count
}

/** With a nonce that is in no run; two runs become one where it closes their gap. */
export function insertNonce(runs: Runs, devNonce: number): Runs {
  const at = runAbove(runs, devNonce)
  const afterRun = runs[at - 1] === devNonce - 1
  const beforeRun = runs[at] === devNonce + 1
  if (afterRun && beforeRun) return splice(runs, at - 1, 2)
  if (!afterRun && !beforeRun) return splice(runs, at, 0, devNonce, devNonce)
  return splice(runs, afterRun ? at - 1 : at, 1, devNonce)
}

export function hasNonce(runs: Runs, devNonce: number): boolean {
  return devNonce <= (runs[runAbove(runs, devNonce) - 1] ?? -1)
}

/** The number at the end of a counter's or a list's history. */
export function lastNumber(history: Buffer): number {
  if (history.length < 3) throw corrupt('cut off')
  return history.readUInt16BE(history.length - 2)
}

export function setBit(bitmap: Buffer, devNonce: number): void {
  const index = 1 + (devNonce >> 3)
  bitmap[index] = (bitmap[index] ?? 0) | (1 << (devNonce & 7))
}

/** The index of the first number of the first run that is above the nonce altogether. */
function runAbove(runs: Runs, devNonce: number): number {
  let low = 0
  let high = runs.length / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if ((runs[2 * middle] ?? 0) <= devNonce) low = middle + 1
    else high = middle
  }
  return 2 * low
}

/** What `Array.toSpliced` would give. */
function splice(runs: Runs, at: number, removed: number, ...added: number[]): Runs {
  const result = new Uint16Array(runs.length - removed + added.length)
  result.set(runs.subarray(0, at))
  result.set(added, at)
  result.set(runs.subarray(at + removed), at + added.length)
  return result
}

function lengthAt(runs: Runs, at: number): number {
  return (runs[at + 1] ?? 0) - (runs[at] ?? 0) + 1
}

/** Puts a run that is above all others behind the `length` numbers of `runs`; returns how many there are then. */
function append(runs: Runs, length: number, first: number, last: number): number {
  const touches = length > 0 && runs[length - 1] === first - 1
  if (!touches) runs[length++] = first
  runs[touches ? length - 1 : length++] = last
  return length
}

function decodeList(history: Buffer): Runs {
  const runs = new Uint16Array(history.length)
  let length = 0
  for (let at = 1; at + 2 <= history.length; at += 2) {
    const devNonce = history.readUInt16BE(at)
    length = append(runs, length, devNonce, devNonce)
  }
  return runs.subarray(0, length)
}

function encodeList(runs: Runs): Buffer {
  const list = Buffer.alloc(1 + 2 * countNonces(runs))
  let end = list.writeUInt8(KIND.list)
  for (let at = 0; at < runs.length; at += 2)
    for (let nonce = runs[at] ?? 0; nonce <= (runs[at + 1] ?? 0); nonce++) end = list.writeUInt16BE(nonce, end)
  return list
}

function decodeBitmap(history: Buffer): Runs {
  const runs = new Uint16Array(8 * BITMAP_BYTES)
  let length = 0
  for (let index = 0; index < BITMAP_BYTES; index++) {
    const byte = history[1 + index] ?? 0
    if (byte === 0xff) length = append(runs, length, 8 * index, 8 * index + 7)
    // From the lowest bit that is set to the highest.
    else
      for (let rest = byte; rest !== 0; rest &= rest - 1) {
        const devNonce = 8 * index + 31 - Math.clz32(rest & -rest)
        length = append(runs, length, devNonce, devNonce)
      }
  }
  return runs.subarray(0, length)
}

function encodeBitmap(runs: Runs): Buffer {
  const bitmap = Buffer.alloc(1 + BITMAP_BYTES)
  bitmap.writeUInt8(KIND.bitmap)
  for (let at = 0; at < runs.length; at += 2)
    for (let nonce = runs[at] ?? 0; nonce <= (runs[at + 1] ?? 0); nonce++) setBit(bitmap, nonce)
  return bitmap
}

function decodeSteps(history: Buffer, upTo: number): Runs {
  const runs = new Uint16Array(2 * history.length)
  let length = 0
  let last = -1
  let following = false
  for (let at = 1; at < history.length && last < upTo; at++) {
    let step = (history[at] ?? 0) & 0x7f
    while ((history[at] ?? 0) >= 0x80) step = (step << 7) | ((history[++at] ?? 0) & 0x7f)
    if (step === 0) {
      following = true
      continue
    }
    const first = following ? last + 1 : last + step
    last += step
    following = false
    if (last > MAX_DEV_NONCE) throw corrupt('out of range')
    length = append(runs, length, first, last)
  }
  return runs.subarray(0, length)
}

/** Cut off where it is longer than the bitmap. */
function encodeSteps(runs: Runs): Buffer {
  const steps = Buffer.allocUnsafe(1 + Math.min(BITMAP_BYTES, MAX_RUN_BYTES * runs.length) + MAX_RUN_BYTES)
  let end = steps.writeUInt8(KIND.steps)
  let before = -1
  for (let at = 0; at < runs.length && end <= BITMAP_BYTES; at += 2) {
    const distance = (runs[at] ?? 0) - before
    // A run that begins with 0 needs no distance.
    const following = lengthAt(runs, at) - (distance > 1 ? 1 : 0)
    if (distance > 1) end = writeStep(steps, end, distance)
    if (following > 2) end = writeStep(steps, writeStep(steps, end, 0), following)
    else for (let count = 0; count < following; count++) end = writeStep(steps, end, 1)
    before = runs[at + 1] ?? 0
  }
  return steps.subarray(0, end)
}

function writeStep(steps: Buffer, end: number, value: number): number {
  if (value >= 1 << 14) steps[end++] = 0x80 | (value >> 14)
  if (value >= 1 << 7) steps[end++] = 0x80 | ((value >> 7) & 0x7f)
  steps[end++] = value & 0x7f
  return end
}

function corrupt(detail: string): StorageError {
  return new StorageError('database_corrupt', `a DevNonce history is ${detail}`)
}
