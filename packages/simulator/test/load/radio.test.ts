import { describe, expect, test } from 'vitest'
import { joinRequestAirMs, silenceMs } from '../../src/load/radio.ts'

describe('a join-request in EU868', () => {
  // By hand from Semtech AN1200.13: 23 bytes, 125 kHz, CR 4/5, 8 symbols of preamble, explicit header, CRC.
  test.each([
    [7, 61.696],
    [8, 113.152],
    [9, 205.824],
    [10, 370.688],
    [11, 823.296],
    [12, 1482.752],
  ] as const)('is on air at SF%i for %f ms', (spreadingFactor, ms) => {
    expect(joinRequestAirMs(spreadingFactor)).toBeCloseTo(ms, 3)
  })

  // LoRaWAN 1.0.4 §7: 36 s in the first hour, 36 s in the next ten, 8.7 s in each day after.
  test.each([
    ['the first hour', 0, 36_000, 3_600_000],
    ['the next ten hours', 3_600_000, 36_000, 36_000_000],
    ['later', 39_600_000, 8_640, 86_400_000],
  ])('is repeated in %s so that all of them are on air for no longer than allowed', (_when, since, airMs, periodMs) => {
    const each = 1482.752
    expect(each + silenceMs(each, since)).toBeCloseTo((each * periodMs) / airMs, 6)
  })
})
