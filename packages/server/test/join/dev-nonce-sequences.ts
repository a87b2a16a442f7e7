import type { MacVersion } from '@mortise/lorawan'

/** A join-request's DevNonce, and whether it may be used after those before it. */
export type Step = readonly [devNonce: number, accepted: boolean]

export interface Sequence {
  readonly shows: string
  readonly steps: readonly Step[]
}

/** LoRaWAN 1.0 to 1.0.3 §6.2.4: the value is random, and one that was used before is ignored. There is no order. */
const RANDOM: readonly Sequence[] = [
  {
    shows: 'any new value is good, above or below, both ends too',
    steps: [
      [0x8000, true],
      [0x0001, true],
      [0xffff, true],
      [0x0000, true],
      [0x7fff, true],
      [0x8001, true],
    ],
  },
  {
    shows: 'a used value is refused for ever, however many came after it',
    steps: [
      [300, true],
      [300, false],
      ...Array.from({ length: 12 }, (_, index): Step => [5000 + 997 * index, true]),
      [300, false],
      [5000, false],
      [301, true],
      [299, true],
      [300, false],
    ],
  },
  {
    shows: 'a device that counts is not held to it: what it left out is good, what it used is not',
    steps: [
      ...Array.from({ length: 10 }, (_, index): Step => [2 * index, true]),
      [0, false],
      [18, false],
      [17, true],
      [1, true],
      [17, false],
      [19, true],
    ],
  },
]

/** LoRaWAN 1.0.4 §6.2.2 and 1.1 §6.2.5: a counter from 0 that is never reused and only rises, up to 65,535. */
const COUNTER: readonly Sequence[] = [
  {
    shows: 'it begins with 0, which comes once',
    steps: [
      [0, true],
      [0, false],
      [1, true],
      [1, false],
      [0, false],
      [2, true],
    ],
  },
  {
    shows: 'it may leave values out, and those are lost',
    steps: [
      [7, true],
      [6, false],
      [0, false],
      [700, true],
      [8, false],
      [699, false],
      [700, false],
      [701, true],
    ],
  },
  {
    shows: '65,535 is the last one',
    steps: [
      [65_534, true],
      [65_535, true],
      [65_535, false],
      [0, false],
      [65_534, false],
      [1, false],
    ],
  },
]

export const SEQUENCES: Readonly<Record<MacVersion, readonly Sequence[]>> = {
  '1.0.0': RANDOM,
  '1.0.1': RANDOM,
  '1.0.2': RANDOM,
  '1.0.3': RANDOM,
  '1.0.4': COUNTER,
  '1.1.0': COUNTER,
}
