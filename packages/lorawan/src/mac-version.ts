import { MacVersionError } from './errors.ts'

/** The LoRaWAN link-layer versions, in the order of their publication. */
export const MAC_VERSIONS = ['1.0.0', '1.0.1', '1.0.2', '1.0.3', '1.0.4', '1.1.0'] as const

export type MacVersion = (typeof MAC_VERSIONS)[number]

// The Things Stack writes the first revision of each line without its patch number, ChirpStack with it.
const SHORT_FORMS: Readonly<Record<string, MacVersion>> = { '1.0': '1.0.0', '1.1': '1.1.0' }

/**
 * A version in either spelling: `1.0` is `1.0.0`, `1.1` is `1.1.0`.
 * @throws {MacVersionError} `mac_version_unknown`
 */
export function parseMacVersion(text: string): MacVersion {
  const version = MAC_VERSIONS.find((known) => known === text || (SHORT_FORMS[text] ?? '') === known)
  if (version === undefined) throw new MacVersionError('mac_version_unknown', 'no known LoRaWAN version')
  return version
}

/** Whether the device has a NwkKey and follows OptNeg (LoRaWAN 1.1), rather than the 1.0 key scheme always. */
export function is11(version: MacVersion): boolean {
  return version === '1.1.0'
}

/**
 * How a device of this version chooses its DevNonce: a `random` one must only be new, a `counter` must be above the
 * last one (LoRaWAN 1.0.3 §6.2.4, 1.1 §6.2.5; 1.0.4 as 1.1).
 */
export function devNonceRule(version: MacVersion): 'random' | 'counter' {
  return version === '1.0.4' || version === '1.1.0' ? 'counter' : 'random'
}
