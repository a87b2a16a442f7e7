import type { AesKey } from './aes.ts'
import { type AirRequest, JOIN_REQUEST, readAirRequest } from './air-requests.ts'
import { type FuzzDevice, jsKeyOf, MIC_BYTES, networkRootOf, opened, reversed, uint } from './device-keys.ts'

/** What a device makes of a join-accept, from the specifications: nothing here is the code under test. */

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

const OPT_NEG = 0x80
const DEVICE_ID_DIGITS = 8
const FIRST_GENERATION = 1

export function hasOptNeg(dlSettings: number): boolean {
  return (dlSettings & OPT_NEG) !== 0
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
  const request = readAirRequest(frame)
  const size = parameters.cfList === undefined ? 17 : 33
  if (request === undefined || encrypted.length !== size || encrypted[0] !== 0x20) return undefined
  const clear = decryptJoinAccept(device, request, encrypted)
  const joinNonce = clear.readUIntLE(1, 3)
  const expected = joinAccept(device, request, parameters, joinNonce)
  return expected.equals(clear) ? joinNonce : undefined
}

/** The keys of the session that begins with this JoinNonce. @throws RangeError when the frame is no request */
export function sessionKeys(
  device: FuzzDevice,
  frame: Buffer,
  { netId, dlSettings }: JoinParameters,
  joinNonce: number,
): SessionKeys {
  const request = readAirRequest(frame)
  if (request === undefined) throw new RangeError('no request of a device')
  const root = networkRootOf(device)
  const optNeg = follows11(device, dlSettings)
  const middle = optNeg ? reversed(device.joinEui) : reversed(netId)
  const tail = Buffer.concat([uint(3, joinNonce), middle, uint(2, request.count)])
  const derive = (key: AesKey, type: number): Buffer =>
    key.encrypt(Buffer.concat([Buffer.of(type), tail, Buffer.alloc(15 - tail.length)]))
  if (!optNeg) return { network: [derive(root, 1)], app: derive(root, 2) }
  return { network: [1, 3, 4].map((type) => derive(root, type)), app: derive(opened(device.appKey), 2) }
}

/**
 * SessionKeyID of a session of a device that never got other root keys, 16 hex digits: the first four bytes of the
 * device's id, the generation of its keys, JoinNonce.
 * @param deviceId hex
 */
export function sessionKeyIdOf(deviceId: string, joinNonce: number): string {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(FIRST_GENERATION * 2 ** 24 + joinNonce)
  return deviceId.slice(0, DEVICE_ID_DIGITS) + number.toString('hex')
}

/** Whether an answer follows LoRaWAN 1.1 (§6.2.5: OptNeg, for a 1.1 device). */
function follows11(device: FuzzDevice, dlSettings: number): boolean {
  return device.nwkKey !== undefined && hasOptNeg(dlSettings)
}

function joinAccept(device: FuzzDevice, request: AirRequest, parameters: JoinParameters, joinNonce: number): Buffer {
  const { netId, devAddr, dlSettings, rxDelay, cfList = '' } = parameters
  const payload = Buffer.concat([
    Buffer.of(0x20),
    uint(3, joinNonce),
    reversed(netId),
    reversed(devAddr),
    Buffer.of(dlSettings, rxDelay),
    Buffer.from(cfList, 'hex'),
  ])
  return Buffer.concat([payload, acceptMic(device, request, dlSettings, payload)])
}

function acceptMic(device: FuzzDevice, { type, count }: AirRequest, dlSettings: number, payload: Buffer): Buffer {
  if (!follows11(device, dlSettings)) return networkRootOf(device).cmac(payload).subarray(0, MIC_BYTES)
  const prefix = Buffer.concat([Buffer.of(type), reversed(device.joinEui), uint(2, count)])
  return jsKeyOf(device, 'jsIntKey')
    .cmac(Buffer.concat([prefix, payload]))
    .subarray(0, MIC_BYTES)
}

/** By AES encryption, as the device does it; the answer to a rejoin is under JSEncKey. */
function decryptJoinAccept(device: FuzzDevice, { type }: AirRequest, encrypted: Buffer): Buffer {
  const key = type === JOIN_REQUEST ? networkRootOf(device) : jsKeyOf(device, 'jsEncKey')
  return Buffer.concat([encrypted.subarray(0, 1), key.encrypt(encrypted.subarray(1))])
}
