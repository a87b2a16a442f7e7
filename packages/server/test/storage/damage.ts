/** Faults of a disk, as functions of a database file's bytes; the same seed makes the same fault. */

export const PAGE_BYTES = 4096
const SECTOR_BYTES = 512

/** Numbers from 0 up to and without `limit`. */
export type Random = (limit: number) => number

/** mulberry32: small, and good enough to spread faults. */
export function randomOf(seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

export type Fault = (bytes: Buffer, random: Random) => void

/** What can happen to the pages of a database. Page 1, which has the header, is hit as often as any other. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'one flipped bit': (bytes, random) => {
    flip(bytes, random(bytes.length), 1 << random(8))
  },
  'a few changed bytes': (bytes, random) => {
    for (let count = 1 + random(8); count > 0; count--) flip(bytes, random(bytes.length), 1 + random(255))
  },
  'changed bytes in the header of a page': (bytes, random) => {
    flip(bytes, pageOf(bytes, random) + random(64), 1 + random(255))
  },
  'a sector of zeros': (bytes, random) => {
    const at = random(bytes.length / SECTOR_BYTES) * SECTOR_BYTES
    bytes.fill(0, at, at + SECTOR_BYTES)
  },
  'a sector of another place': (bytes, random) => {
    const [from, to] = [0, 0].map(() => random(bytes.length / SECTOR_BYTES) * SECTOR_BYTES)
    bytes.copy(bytes, to, from, (from ?? 0) + SECTOR_BYTES)
  },
  'a page of zeros': (bytes, random) => {
    const at = pageOf(bytes, random)
    bytes.fill(0, at, at + PAGE_BYTES)
  },
  'a page in the place of another': (bytes, random) => {
    const from = pageOf(bytes, random)
    bytes.copy(bytes, pageOf(bytes, random), from, from + PAGE_BYTES)
  },
}

function flip(bytes: Buffer, at: number, mask: number): void {
  bytes.writeUInt8(bytes.readUInt8(at) ^ mask, at)
}

function pageOf(bytes: Buffer, random: Random): number {
  return random(bytes.length / PAGE_BYTES) * PAGE_BYTES
}
