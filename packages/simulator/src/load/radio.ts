/** Spreading factors of a join in EU868 with 125 kHz, DR5 to DR0. */
export const SPREADING_FACTORS = [7, 8, 9, 10, 11, 12] as const
export type SpreadingFactor = (typeof SPREADING_FACTORS)[number]

const BANDWIDTH_HZ = 125_000
const PREAMBLE_SYMBOLS = 8 + 4.25
const JOIN_REQUEST_BYTES = 23
/** CR 4/5. */
const CODING_RATE = 1

/** When the second window for a join-accept has passed: JOIN_ACCEPT_DELAY2 of every region (RP002 §4). */
export const SECOND_WINDOW_MS = 6000

/** Time on air of a join-request in milliseconds (Semtech AN1200.13, with header and CRC). */
export function joinRequestAirMs(spreadingFactor: SpreadingFactor): number {
  const symbolMs = (1000 * 2 ** spreadingFactor) / BANDWIDTH_HZ
  const lowDataRate = spreadingFactor >= 11 ? 1 : 0
  const bits = 8 * JOIN_REQUEST_BYTES - 4 * spreadingFactor + 28 + 16
  const symbols = 8 + Math.max(0, Math.ceil(bits / (4 * (spreadingFactor - 2 * lowDataRate)))) * (CODING_RATE + 4)
  return (PREAMBLE_SYMBOLS + symbols) * symbolMs
}

const HOUR_MS = 3_600_000

/**
 * How long a device that has just transmitted has to be silent, in milliseconds, when it lost its network
 * `sinceOutageMs` ago: a time on air of at most 1 % in the first hour, of 0.1 % in the next ten, of 0.01 % afterwards
 * (LoRaWAN 1.0.4 §7, retransmissions back-off).
 */
export function silenceMs(airMs: number, sinceOutageMs: number): number {
  const dutyCycle = sinceOutageMs < HOUR_MS ? 0.01 : sinceOutageMs < 11 * HOUR_MS ? 0.001 : 0.0001
  return airMs / dutyCycle - airMs
}
