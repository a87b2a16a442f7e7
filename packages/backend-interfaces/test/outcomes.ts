import type { JoinOutcome, KeyEnvelope } from '@mortise/backend-interfaces'
import { hexToBytes } from '@mortise/lorawan'

export function clearKey(byte: number): KeyEnvelope {
  return { aesKey: new Uint8Array(16).fill(byte) }
}

export function wrappedKey(byte: number, kekLabel: string): KeyEnvelope {
  return { kekLabel, aesKey: new Uint8Array(24).fill(byte) }
}

const SESSION = { sessionKeyId: hexToBytes('ab60f8530000010001'), lifetime: 0 }

const KEYS_10 = { phyPayload: new Uint8Array(17).fill(0x2f), networkKeys: { nwkSKey: clearKey(0xa1) } }

const KEYS_11 = {
  phyPayload: new Uint8Array(33).fill(0x2f),
  networkKeys: {
    fNwkSIntKey: wrappedKey(0xb1, 'ns-000013'),
    sNwkSIntKey: wrappedKey(0xb2, 'ns-000013'),
    nwkSEncKey: wrappedKey(0xb3, 'ns-000013'),
  },
}

/** A join of LoRaWAN 1.0 and one of 1.1, of a device with an application server of its own. */
export const FOR_APPLICATION: readonly JoinOutcome[] = [KEYS_10, KEYS_11].map((keys) => ({
  ...keys,
  ...SESSION,
  appSKey: wrappedKey(0xa2, 'as-test'),
  appSKeyFor: 'application-server' as const,
}))

/** The same of a device without an AppSKey that could be sent along. */
export const SESSION_KEY_ID_ONLY: readonly JoinOutcome[] = [KEYS_10, KEYS_11].map((keys) => ({ ...keys, ...SESSION }))

/** The same of a device whose application server is the network itself; `appSKey` is under the network's KEK or clear. */
export function forNetwork(appSKey: KeyEnvelope): readonly JoinOutcome[] {
  return [KEYS_10, KEYS_11].map((keys) => ({ ...keys, ...SESSION, appSKey, appSKeyFor: 'network' as const }))
}
