import type { Random } from './random.ts'

const INTERESTING_BYTES = [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x7b, 0x7d, 0x7f, 0x80, 0xc0, 0xfe, 0xff]
const INTERESTING_NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]
const MAX_GROWTH = 4096

type Mutation = (random: Random, bytes: Buffer, donors: readonly Buffer[]) => Buffer

/** Damage to bytes of which nothing is known, the likelier the smaller it is. */
const MUTATIONS: readonly (readonly [number, Mutation])[] = [
  [30, flipBit],
  [12, (random, bytes) => withByte(bytes, random.below(bytes.length), random.below(256))],
  [8, (random, bytes) => withByte(bytes, random.below(bytes.length), random.pick(INTERESTING_BYTES))],
  [8, (random, bytes) => replaced(bytes, random.below(bytes.length), 0, random.bytes(random.between(1, 8)))],
  [8, (random, bytes) => replaced(bytes, random.below(bytes.length), random.between(1, 8), Buffer.alloc(0))],
  [6, (random, bytes) => bytes.subarray(0, random.below(bytes.length))],
  [4, (random, bytes) => bytes.subarray(random.below(bytes.length))],
  [4, (random, bytes) => Buffer.concat([bytes, random.bytes(random.between(1, 32))])],
  [6, writeNumber],
  [4, repeatRange],
  [4, swapRanges],
  [6, splice],
]

/** `bytes` after one change, or a few; sometimes it is the same again. `donors` are other inputs of the kind. */
export function mutateBytes(random: Random, bytes: Buffer, donors: readonly Buffer[] = []): Buffer {
  let mutated = bytes
  do {
    mutated = mutated.length === 0 ? random.bytes(random.between(1, 16)) : mutateOnce(random, mutated, donors)
  } while (random.chance(0.35))
  return mutated
}

/** `bytes` with one bit changed; a byte where there is none. */
export function flipBit(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return random.bytes(1)
  const at = random.below(bytes.length)
  return withByte(bytes, at, bytes.readUInt8(at) ^ (1 << random.below(8)))
}

/** `bytes` with `length` of them at `at` replaced. */
export function replaced(bytes: Buffer, at: number, length: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + length)])
}

function mutateOnce(random: Random, bytes: Buffer, donors: readonly Buffer[]): Buffer {
  return random.weighted(MUTATIONS)(random, bytes, donors)
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = value
  return changed
}

/** A number that lengths and counters are known to stumble over, in two or four bytes. */
function writeNumber(random: Random, bytes: Buffer): Buffer {
  const size = random.pick([2, 4])
  if (bytes.length < size) return flipBit(random, bytes)
  const number = Buffer.alloc(4)
  number.writeUInt32BE(random.pick(INTERESTING_NUMBERS))
  return replaced(bytes, random.below(bytes.length - size + 1), size, number.subarray(4 - size))
}

function repeatRange(random: Random, bytes: Buffer): Buffer {
  const start = random.below(bytes.length)
  const range = bytes.subarray(start, start + random.between(1, 64))
  const times = random.between(1, Math.max(1, Math.floor(MAX_GROWTH / range.length)))
  return replaced(bytes, start, 0, Buffer.concat(Array.from({ length: times }, () => range)))
}

function swapRanges(random: Random, bytes: Buffer): Buffer {
  const [first = 0, second = 0] = [random.below(bytes.length), random.below(bytes.length)].sort((a, b) => a - b)
  const length = Math.min(random.between(1, 16), second - first, bytes.length - second)
  const one = bytes.subarray(first, first + length)
  const other = bytes.subarray(second, second + length)
  return replaced(replaced(bytes, first, length, other), second, length, one)
}

/** The beginning of one and the end of another. */
function splice(random: Random, bytes: Buffer, donors: readonly Buffer[]): Buffer {
  const donor = donors.length === 0 ? bytes : random.pick(donors)
  return Buffer.concat([
    bytes.subarray(0, random.below(bytes.length + 1)),
    donor.subarray(random.below(donor.length + 1)),
  ])
}
