import type { MacVersion } from '@mortise/lorawan'
import { AesKey } from './aes.ts'

/** What a device computes, from the specifications with single AES blocks: nothing here is the code under test. */

/** A device by its public facts and its root keys. EUIs are lower-case hex, most significant byte first. */
export interface FuzzDevice {
  readonly devEui: string
  readonly joinEui: string
  readonly macVersion: MacVersion
  readonly appKey: Buffer
  /** Exactly for LoRaWAN 1.1. */
  readonly nwkKey: Buffer | undefined
}

/** What a network asks for beside the frame: hex, most significant byte first, CFList as on air. */
export interface JoinParameters {
  readonly netId: string
  readonly devAddr: string
  readonly dlSettings: number
  readonly rxDelay: number
  readonly cfList: string | undefined
}

export interface SessionKeys {
  /** NwkSKey; or FNwkSIntKey, SNwkSIntKey and NwkSEncKey. */
  readonly network: readonly Buffer[]
  readonly app: Buffer
}

const MIC_BYTES = 4
const UNSIGNED_REQUEST_BYTES = 19

/** A join-request of 23 bytes (LoRaWAN 1.0.3 §6.2.4). */
export function joinRequest(device: FuzzDevice, devNonce: number): Buffer {
  const unsigned = Buffer.concat([Buffer.of(0), reversed(device.joinEui), reversed(device.devEui), uint(2, devNonce)])
  return Buffer.concat([unsigned, requestMic(device, unsigned)])
}

/** Whether the frame is one that this device makes. */
export function isJoinRequestOf(device: FuzzDevice, frame: Buffer): boolean {
  if (frame.length !== UNSIGNED_REQUEST_BYTES + MIC_BYTES || frame[0] !== 0) return false
  if (!frame.subarray(1, 9).equals(reversed(device.joinEui))) return false
  if (!frame.subarray(9, 17).equals(reversed(device.devEui))) return false
  return frame.subarray(-MIC_BYTES).equals(requestMic(device, frame.subarray(0, UNSIGNED_REQUEST_BYTES)))
}

export function devNonceOf(frame: Buffer): number {
  return frame.readUInt16LE(17)
}

/** Whether an answer follows LoRaWAN 1.1 (§6.2.5: OptNeg, for a 1.1 device). */
export function isOptNeg(device: FuzzDevice, dlSettings: number): boolean {
  return device.nwkKey !== undefined && (dlSettings & 0x80) !== 0
}

/**
 * The JoinNonce of an encrypted join-accept; undefined unless it is the one that this network asked for, for this frame,
 * down to the MIC.
 */
export function openJoinAccept(
  device: FuzzDevice,
  frame: Buffer,
  parameters: JoinParameters,
  encrypted: Buffer,
): number | undefined {
  const size = parameters.cfList === undefined ? 17 : 33
  if (encrypted.length !== size || encrypted[0] !== 0x20) return undefined
  const clear = decryptJoinAccept(device, encrypted)
  const joinNonce = clear.readUIntLE(1, 3)
  const expected = joinAccept(device, frame, parameters, joinNonce)
  return expected.equals(clear) ? joinNonce : undefined
}

/** The keys of the session that begins with this JoinNonce. */
export function sessionKeys(
  device: FuzzDevice,
  frame: Buffer,
  { netId, dlSettings }: JoinParameters,
  joinNonce: number,
): SessionKeys {
  const root = networkRootOf(device)
  const optNeg = isOptNeg(device, dlSettings)
  const middle = optNeg ? reversed(device.joinEui) : reversed(netId)
  const tail = Buffer.concat([uint(3, joinNonce), middle, frame.subarray(17, 19)])
  const derive = (key: AesKey, type: number): Buffer =>
    key.encrypt(Buffer.concat([Buffer.of(type), tail, Buffer.alloc(15 - tail.length)]))
  if (!optNeg) return { network: [derive(root, 1)], app: derive(root, 2) }
  return { network: [1, 3, 4].map((type) => derive(root, type)), app: derive(opened(device.appKey), 2) }
}

function joinAccept(device: FuzzDevice, frame: Buffer, parameters: JoinParameters, joinNonce: number): Buffer {
  const { netId, devAddr, dlSettings, rxDelay, cfList = '' } = parameters
  const payload = Buffer.concat([
    Buffer.of(0x20),
    uint(3, joinNonce),
    reversed(netId),
    reversed(devAddr),
    Buffer.of(dlSettings, rxDelay),
    Buffer.from(cfList, 'hex'),
  ])
  return Buffer.concat([payload, acceptMic(device, frame, dlSettings, payload)])
}

function acceptMic(device: FuzzDevice, frame: Buffer, dlSettings: number, payload: Buffer): Buffer {
  const root = networkRootOf(device)
  if (!isOptNeg(device, dlSettings)) return root.cmac(payload).subarray(0, MIC_BYTES)
  const jsIntKey = new AesKey(root.encrypt(Buffer.concat([Buffer.of(6), reversed(device.devEui), Buffer.alloc(7)])))
  const prefix = Buffer.concat([Buffer.of(0xff), reversed(device.joinEui), frame.subarray(17, 19)])
  return jsIntKey.cmac(Buffer.concat([prefix, payload])).subarray(0, MIC_BYTES)
}

/** By AES encryption, as the device does it. */
function decryptJoinAccept(device: FuzzDevice, encrypted: Buffer): Buffer {
  return Buffer.concat([encrypted.subarray(0, 1), networkRootOf(device).encrypt(encrypted.subarray(1))])
}

function requestMic(device: FuzzDevice, unsigned: Buffer): Buffer {
  return networkRootOf(device).cmac(unsigned).subarray(0, MIC_BYTES)
}

const openKeys = new WeakMap<Buffer, AesKey>()

function opened(key: Buffer): AesKey {
  const known = openKeys.get(key) ?? new AesKey(key)
  openKeys.set(key, known)
  return known
}

/** LoRaWAN 1.1 devices use NwkKey where 1.0.x devices use AppKey (LoRaWAN 1.1 §6.2.5). */
function networkRootOf({ appKey, nwkKey }: FuzzDevice): AesKey {
  return opened(nwkKey ?? appKey)
}

/** Little-endian, as everything on air. */
function uint(size: number, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntLE(value, 0, size)
  return bytes
}

function reversed(hex: string): Buffer {
  return Buffer.from(hex, 'hex').reverse()
}
