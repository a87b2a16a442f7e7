import type { MacVersion } from '@mortise/lorawan'
import { AesKey } from './aes.ts'

/** The keys of a device and how bytes go on air, from the specifications with single AES blocks. */

/** A device by its public facts and its root keys. EUIs are lower-case hex, most significant byte first. */
export interface FuzzDevice {
  readonly devEui: string
  readonly joinEui: string
  readonly macVersion: MacVersion
  readonly appKey: Buffer
  /** Exactly for LoRaWAN 1.1. */
  readonly nwkKey: Buffer | undefined
}

export const MIC_BYTES = 4

const openKeys = new WeakMap<Buffer, AesKey>()
const jsKeys = { jsEncKey: new WeakMap<FuzzDevice, AesKey>(), jsIntKey: new WeakMap<FuzzDevice, AesKey>() }
const JS_KEY_TYPES = { jsEncKey: 5, jsIntKey: 6 } as const

export function opened(key: Buffer): AesKey {
  const known = openKeys.get(key) ?? new AesKey(key)
  openKeys.set(key, known)
  return known
}

/** LoRaWAN 1.1 devices use NwkKey where 1.0.x devices use AppKey (LoRaWAN 1.1 §6.2.5). */
export function networkRootOf({ appKey, nwkKey }: FuzzDevice): AesKey {
  return opened(nwkKey ?? appKey)
}

/** JSEncKey or JSIntKey of a 1.1 device (LoRaWAN 1.1 §6.1.1.4). */
export function jsKeyOf(device: FuzzDevice, name: keyof typeof jsKeys): AesKey {
  const known = jsKeys[name].get(device)
  if (known !== undefined) return known
  const block = Buffer.concat([Buffer.of(JS_KEY_TYPES[name]), reversed(device.devEui), Buffer.alloc(7)])
  const key = new AesKey(networkRootOf(device).encrypt(block))
  jsKeys[name].set(device, key)
  return key
}

/** Little-endian, as everything on air. */
export function uint(size: number, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntLE(value, 0, size)
  return bytes
}

/** Hex, as it goes on air. */
export function reversed(hex: string): Buffer {
  return Buffer.from(hex, 'hex').reverse()
}
