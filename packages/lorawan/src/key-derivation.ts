import { AES_BLOCK_SIZE } from './aes.ts'
import { type DevEui, eui64ToWire, type JoinEui, type NetId, netIdToWire } from './identifiers.ts'
import { writeUint } from './wire.ts'

/**
 * The first byte of each derivation block (LoRaWAN 1.1 §6.1.1, §6.2.6). The NwkSKey of 1.0 has 01, as FNwkSIntKey,
 * whose place it takes.
 */
export const KEY_TYPE = {
  fNwkSIntKey: 0x01,
  appSKey: 0x02,
  sNwkSIntKey: 0x03,
  nwkSEncKey: 0x04,
  jsEncKey: 0x05,
  jsIntKey: 0x06,
} as const

export type SessionKeyType10 = typeof KEY_TYPE.fNwkSIntKey | typeof KEY_TYPE.appSKey
export type SessionKeyType11 = SessionKeyType10 | typeof KEY_TYPE.sNwkSIntKey | typeof KEY_TYPE.nwkSEncKey
export type JsKeyType = typeof KEY_TYPE.jsEncKey | typeof KEY_TYPE.jsIntKey

/**
 * The block whose AES encryption under the root key is the session key, with OptNeg 0 (LoRaWAN 1.0.3 §6.2.5):
 * type || JoinNonce || NetID || DevNonce || zeros, 16 bytes. The root key is AppKey; for a 1.1 device NwkKey, for both types.
 * @throws {FrameError} `frame_field`: JoinNonce above 24 or DevNonce above 16 bits.
 */
export function sessionKeyBlock10(
  type: SessionKeyType10,
  joinNonce: number,
  netId: NetId,
  devNonce: number,
): Uint8Array {
  const block = new Uint8Array(AES_BLOCK_SIZE)
  block[0] = type
  writeUint(block, 1, 3, joinNonce)
  block.set(netIdToWire(netId), 4)
  writeUint(block, 7, 2, devNonce)
  return block
}

/**
 * The same with OptNeg 1 (LoRaWAN 1.1 §6.2.6): type || JoinNonce || JoinEUI || DevNonce || zeros, 16 bytes. The root
 * key is AppKey for AppSKey and NwkKey for the others. After a rejoin RJcount stands in the place of DevNonce.
 * @throws {FrameError} `frame_field`: JoinNonce above 24 or DevNonce above 16 bits.
 */
export function sessionKeyBlock11(
  type: SessionKeyType11,
  joinNonce: number,
  joinEui: JoinEui,
  devNonce: number,
): Uint8Array {
  const block = new Uint8Array(AES_BLOCK_SIZE)
  block[0] = type
  writeUint(block, 1, 3, joinNonce)
  block.set(eui64ToWire(joinEui), 4)
  writeUint(block, 12, 2, devNonce)
  return block
}

/** The block of JSEncKey and JSIntKey, under NwkKey (LoRaWAN 1.1 §6.1.1.4): type || DevEUI || zeros, 16 bytes. */
export function jsKeyBlock(type: JsKeyType, devEui: DevEui): Uint8Array {
  const block = new Uint8Array(AES_BLOCK_SIZE)
  block[0] = type
  block.set(eui64ToWire(devEui), 1)
  return block
}
